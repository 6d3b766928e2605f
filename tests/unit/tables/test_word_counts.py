"""The table on its RocksDB store: versions, dirty rows, top words; Kafka is not needed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from app import create_app
from app.counting.partials import WindowCounts
from tables import checkpoint, word_counts
from tables.flush_batch import FlushBatch
from tables.partition import PartitionState
from tables.row_quota import RowQuota
from tables.rows import decode_row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tables.flush_batch import ChangedCount
    from tables.word_counts import WordCounts

WINDOW = 60_000


@pytest.fixture
def table(tmp_path: Path) -> Iterator[WordCounts]:
    """A table that owns one partition, with nothing in it."""
    application = create_app({})
    application.conf.datadir = tmp_path
    application.table.owned[0] = PartitionState()
    yield application.table
    application.table.databases.close(0)


def add(table: WordCounts, start: int, *words: str) -> int:
    """Count words in a window and take the change in; its version."""
    counts = Counter(words)
    delta = WindowCounts(start, pa.array(list(counts)), pa.array(list(counts.values()), pa.int64()))
    change = table.merge(0, [delta], {0: start})
    table.apply(0, change, 0)
    return change.version


def take_over(table: WordCounts) -> None:
    """Load the partition from the store, as a new owner does."""
    asyncio.run(table.load([0]))


def flush(table: WordCounts, rows: int, fails: bool = False) -> list[ChangedCount]:
    """Flush a batch: Cassandra takes all of it, or nothing."""
    batch = FlushBatch(table, rows)
    found = batch.take()
    if fails:
        batch.put_back()
    else:
        batch.acknowledge([])
    return found


def pairs(rows: list[ChangedCount]) -> list[tuple[int, str, int]]:
    """Window, word and count of rows, sorted."""
    return sorted((row.window_start, row.word, row.count) for row in rows)


def test_versions_grow_where_the_clock_of_the_next_owner_is_behind(
    table: WordCounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later count has a later write time, so it wins in Cassandra, whatever the clocks show."""
    now = time.time_ns()
    before = add(table, 0, "word")
    take_over(table)
    monkeypatch.setattr(time, "time_ns", lambda: now - 3600 * 10**9)
    assert add(table, 0, "word") > before


def test_rows_go_in_slices_and_count_as_flushed_when_the_last_is_there(table: WordCounts) -> None:
    """However many rows are dirty, one slice is in flight; the last one moves the version."""
    version = add(table, 0, *(f"word{number}" for number in range(10)))
    state = table.owned[0]
    first = flush(table, 7)
    assert (len(first), len(state.dirty), state.dirty.flushed) == (7, 3, 0)
    later = add(table, WINDOW, "more")
    second = flush(table, 7)
    assert (len(second), state.dirty.flushed) == (3, version)
    assert {row.word for row in first + second} == {f"word{number}" for number in range(10)}
    assert pairs(flush(table, 7)) == [(WINDOW, "more", 1)]
    assert (len(state.dirty), state.dirty.flushed) == (0, later)


@pytest.mark.parametrize("taken_over", [False, True])
def test_a_slice_of_long_words_has_fewer_rows(table: WordCounts, taken_over: bool) -> None:
    """Of bytes no more are on their way than with other words, and in the end all are there."""
    words = {f"{number:03}" + "x" * 2800 for number in range(30)}
    version = add(table, 0, *words, "short")
    if taken_over:
        take_over(table)
    state = table.owned[0]
    slices = []
    while state.dirty.flushed < version:
        slices.append(flush(table, 100))
        assert len(slices[-1]) <= 11
    assert {row.word for rows in slices for row in rows} == words | {"short"}
    assert (len(state.dirty), state.dirty.cost) == (0, 0)


def test_a_slice_that_is_not_written_stays(table: WordCounts) -> None:
    """Rows that Cassandra did not take go again, and newer counts of them follow."""
    add(table, 0, "a", "b", "b")
    assert pairs(flush(table, 9, fails=True)) == [(0, "a", 1), (0, "b", 2)]
    version = add(table, 0, "b")
    assert table.owned[0].dirty.flushed == 0
    assert pairs(flush(table, 9)) == [(0, "a", 1), (0, "b", 2)]
    assert pairs(flush(table, 9)) == [(0, "b", 3)]
    assert table.owned[0].dirty.flushed == version


def test_a_new_owner_flushes_just_what_the_one_before_had_not(table: WordCounts) -> None:
    """Rows of an older version are not written again; the others come slice by slice."""
    add(table, 0, "old", *(f"w{number}" for number in range(5)))
    flush(table, 99)
    add(table, 0, "new", *(f"w{number}" for number in range(5)))
    add(table, WINDOW, *(f"x{number}" for number in range(4)))
    take_over(table)
    state = table.owned[0]
    add(table, 2 * WINDOW, "later")
    found = [pairs(flush(table, 4)) for _ in range(4)]
    expected = [(0, "new", 1), *((0, f"w{n}", 2) for n in range(5))]
    expected += [(WINDOW, f"x{n}", 1) for n in range(4)]
    assert sorted(row for some in found for row in some if row[0] < 2 * WINDOW) == expected
    assert (2 * WINDOW, "later", 1) in [row for some in found for row in some]
    flush(table, 4)
    assert (len(state.dirty), state.dirty.flushed) == (0, state.version)


def test_the_partition_that_waits_longest_comes_first(table: WordCounts) -> None:
    """A partition that changes all the time does not keep the rows of another one waiting."""
    table.owned[1] = PartitionState()
    for number in range(3):
        add(table, 0, f"w{number}", f"x{number}")
        table.owned[1].dirty.add([table.windows.key(0, b"other")], [(1, 1)])
        flush(table, 2)
    assert len(table.owned[1].dirty) == 0


def test_inherited_rows_do_not_gather_in_memory_while_cassandra_is_away(table: WordCounts) -> None:
    """A slice that fails is retried before more rows are read."""
    add(table, 0, *(f"w{number}" for number in range(50)))
    take_over(table)
    for _ in range(5):
        assert len(flush(table, 10, fails=True)) == 10
        assert len(table.owned[0].dirty) == 10


def test_many_windows_at_once_are_counted_as_one_after_the_other(
    table: WordCounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows, totals and dirty rows are the same; windows that were there before continue."""
    deltas = [
        WindowCounts(number % 30 * WINDOW, pa.array(words), pa.array([1] * len(words), pa.int64()))
        for number in range(50)
        for words in [[f"w{number % 7}", "é", f"x{number}"]]
    ]
    seen = []
    for few in (10**9, 8):
        monkeypatch.setattr(checkpoint, "MAX_SEPARATE_SETS", few)
        add(table, 0, "é", "é")
        table.apply(0, table.merge(0, deltas, {}), 0)
        table.apply(0, table.merge(0, deltas[:9], {}), 0)
        rows = {
            table.windows.key(changed.window_start, changed.word.encode()): changed.count
            for changed in FlushBatch(table, 10**6).take()
        }
        stored = {k: decode_row(v)[0] for n in range(30) for k, v in table.rows_of(0, n * WINDOW)}
        assert rows == stored
        seen.append((rows, table.totals()))
        table.databases.close(0)
        table.store.reset_state()
        table.owned[0] = PartitionState()
    assert seen[0] == seen[1]


def test_tops_of_few_windows_are_kept(table: WordCounts) -> None:
    """The words of a window that was asked about long ago are read again."""
    most = table.windows.open_windows + word_counts.SPARE_TOPS
    for number in range(most + 3):
        add(table, number * WINDOW, "a", "b", "b")
        assert table.top(number * WINDOW, 1) == [("b", 2)]
    assert len(table.owned[0].tops) == most
    assert table.top(0, 9) == [("b", 2), ("a", 1)]


def test_the_top_of_a_large_window_is_sought_in_pieces(
    table: WordCounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the same whether the rows are looked at at once or a few at a time."""
    monkeypatch.setattr(word_counts, "TOP_SCAN_ROWS", 3)
    add(table, 0, *(f"w{number}" for number in range(20) for _ in range(number)))
    assert table.top(0, 3) == [("w19", 19), ("w18", 18), ("w17", 17)]


async def test_rows_of_long_words_take_more_of_the_quota(table: WordCounts) -> None:
    """With words of any length, dirty rows take no more memory than their share."""
    quota = RowQuota(20, table.dirty_cost)
    add(table, 0, "a", "b" * 5000)

    async def change() -> None:
        async with quota.reserve(2):
            pass

    changed = asyncio.create_task(change())
    await asyncio.sleep(0.01)
    assert not changed.done()
    flush(table, 99)
    quota.recheck()
    await asyncio.wait_for(changed, 5)


async def test_tasks_share_the_quota_of_dirty_rows(table: WordCounts) -> None:
    """Changes of the same moment fit together, or one waits until rows are acknowledged."""
    quota = RowQuota(10, table.dirty_cost)
    add(table, 0, *(f"word{number}" for number in range(4)))
    entered: list[str] = []
    leave = asyncio.Event()

    async def change(name: str, rows: int) -> None:
        async with quota.reserve(rows):
            entered.append(name)
            await leave.wait()

    # c is more than there may ever be: it comes once there is nothing else.
    offers = (("a", 6), ("b", 2), ("c", 11), ("d", 1))
    changes = [asyncio.create_task(change(*each)) for each in offers]
    await asyncio.sleep(0.01)
    assert entered == ["a"]  # 4 wait and 6 come: the one of 2 would be too many
    flush(table, 3)
    quota.recheck()
    await asyncio.sleep(0.01)
    assert entered == ["a", "b"]  # 1 waits, 8 come: c is too many, and d does not pass it by
    leave.set()
    flush(table, 10)
    quota.recheck()
    await asyncio.wait_for(asyncio.gather(*changes), 5)
    assert entered == ["a", "b", "c", "d"]
    async with quota.reserve(10):
        pass
