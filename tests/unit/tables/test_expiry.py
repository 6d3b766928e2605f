"""Windows past retention go from the table on its RocksDB store; Kafka is not needed."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from agents.checkpointing import Checkpointer
from agents.pending import Pending
from app import create_app
from app.counting.partials import WindowCounts, pack
from app.counting.windows import NO_WATERMARK
from app.metrics import Metrics
from app.settings import Settings
from tables import expiry
from tables.expiry import apply_removal, next_removal
from tables.flush_batch import FlushBatch
from tables.partition import PartitionState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from aiokafka import TopicPartition

    from app.kafka.producer import PartitionRecords
    from tables.word_counts import WordCounts

MINUTE = 60_000
START = 30_000_000 * MINUTE


@pytest.fixture
def table(tmp_path: Path) -> Iterator[WordCounts]:
    """A table that owns one partition, with windows of a minute, kept for two."""
    application = create_app({"WORDCOUNT_RETENTION": "2m"})
    application.conf.datadir = tmp_path
    application.table.owned[0] = PartitionState()
    yield application.table
    application.table.databases.close(0)


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let seconds pass, by the monotonic clock."""
    clock = time.monotonic
    passed = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock() + sum(passed))
    return passed.append


def add(table: WordCounts, minute: int, *words: str) -> int:
    """Count each word once in the window of a minute after START, its source's watermark."""
    start = START + minute * MINUTE
    delta = WindowCounts(start, pa.array(words, pa.string()), pa.array([1] * len(words)))
    change = table.merge(0, [delta] if words else [], {0: start})
    table.apply(0, change, 0)
    return change.version


def flush(table: WordCounts) -> list[str]:
    """Let Cassandra take all that waits; its words."""
    batch = FlushBatch(table)
    found = [changed.word for changed in batch.take()]
    batch.acknowledge([])
    return found


def expire(table: WordCounts) -> int:
    """Remove all that is past retention; the number of steps."""
    steps = 0
    while (removal := next_removal(table, 0)) is not None:
        apply_removal(table, 0, removal, 0)
        steps += 1
    return steps


def test_a_step_takes_as_many_windows_as_it_has_room_for(
    table: WordCounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few rows each window has, they go as fast as they come; no step is larger for it."""
    monkeypatch.setattr(expiry, "STEP_ROWS", 10)
    for minute in range(20):
        add(table, minute, "a", "b", "c")
    add(table, 20, *(f"word{number}" for number in range(25)))
    flush(table)
    add(table, 40, "new")
    assert expire(table) == 11  # 20 windows of 4 rows and one of 26, their own rows among them
    for _ in range(2):
        assert table.totals() == {START + 40 * MINUTE: (1, 1)}
        assert table.owned[0].expired == START + 20 * MINUTE + 1
        assert list(table.databases.prefixes(0)) == [table.windows.prefix(START + 40 * MINUTE)]
        asyncio.run(table.load([0]))


def test_rows_that_cassandra_lacks_do_not_go(table: WordCounts) -> None:
    """A window waits for its flush while others go; words that come for it are refused."""
    add(table, 0, "a")
    add(table, 2, "c")
    flush(table)
    add(table, 1, "b")
    table.owned[0].watermarks = {0: START + 10 * MINUTE}
    assert expire(table) == 1
    assert set(table.totals()) == {START + MINUTE}
    delta = WindowCounts(START + MINUTE, pa.array(["b"]), pa.array([1]))
    assert table.merge(0, [delta], {}).refused == 1
    assert flush(table) == ["b"]
    assert expire(table) == 1
    assert table.totals() == {}


def count(table: WordCounts, *lines: tuple[int, int]) -> None:
    """Split and count lines, each the source that it is from and its minute after START."""
    now = START + 3 * MINUTE
    pending = Pending(1000, 1000)
    for source, minute in lines:
        time = np.array([START + minute * MINUTE], np.int64)
        watermark = table.owned[0].watermarks.get(source, NO_WATERMARK)
        assignment = table.windows.assign(time, watermark, now)
        counts = [WindowCounts(at, pa.array(["a"]), pa.array([1])) for at, _ in assignment.windows]
        [[message]] = pack(counts, 1, source, assignment.watermark)
        block: Any = SimpleNamespace(records=SimpleNamespace(values=[message]), next=1)
        pending.add([block])
    table.apply(0, table.merge(0, pending.deltas, pending.watermarks, pending.active_sources), 0)
    flush(table)


def minutes(table: WordCounts) -> dict[int, int]:
    """How many words each window holds, by its minute after START."""
    return {(at - START) // MINUTE: words for at, (words, _) in table.totals().items()}


def test_a_source_of_far_future_times_holds_no_window(table: WordCounts) -> None:
    """It has no watermark, and may never have one."""
    count(table, (0, 0), (1, 1000))
    count(table, (0, 10), (1, 1001))
    expire(table)
    assert minutes(table) == {10: 1, 1000: 1, 1001: 1}


def test_a_source_whose_clock_jumps_ahead_holds_windows_for_the_retention(
    table: WordCounts, wait: Callable[[float], None]
) -> None:
    """It counts as silent: its watermark would hold all windows from the jump on for ever."""
    count(table, (0, 0), (1, 0))
    wait(60)
    count(table, (0, 5), (1, 1000))
    assert not expire(table)
    wait(61)
    count(table, (0, 10), (1, 1001))
    expire(table)
    assert minutes(table) == {10: 1, 1000: 1, 1001: 1}


def test_a_source_whose_time_stands_still_holds_its_windows(
    table: WordCounts, wait: Callable[[float], None]
) -> None:
    """A long file whose lines all have one time is counted to its end."""
    count(table, (0, 0), (1, 0))
    for minute in range(3, 12):
        wait(100)
        count(table, (0, minute), (1, 0))
        assert not expire(table)
    assert minutes(table) == {0: 11, **dict.fromkeys(range(3, 12), 1)}
    wait(121)
    count(table, (0, 12))
    expire(table)
    assert minutes(table) == {10: 1, 11: 1, 12: 1}


def test_the_wall_clock_decides_where_all_sources_are_silent(
    table: WordCounts, wait: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that comes would take the last windows away."""
    monkeypatch.setattr(time, "time_ns", lambda: (START + 10 * MINUTE) * 1_000_000)
    count(table, (0, 0), (1, 9))
    wait(119)
    assert not expire(table)
    wait(2)
    expire(table)
    assert minutes(table) == {9: 1}


@pytest.mark.parametrize(("seconds", "left"), [(0.0, 9), (60.0, 0)])
async def test_expiry_takes_as_long_as_counting_took(
    table: WordCounts, monkeypatch: pytest.MonkeyPatch, seconds: float, left: int
) -> None:
    """A busy task removes as much as it makes; one that has done nothing removes a step."""
    monkeypatch.setattr(expiry, "STEP_ROWS", 1)
    for minute in range(5):
        add(table, minute, "a")
    flush(table)
    table.owned[0].watermarks = {0: START + 10 * MINUTE}
    task: Any = SimpleNamespace(partition=0, commit=commit)
    checkpointer = Checkpointer(table, Settings.read({}).changelog, Metrics())
    await checkpointer.expire(task, seconds)
    assert expire(table) == left


async def commit(outgoing: list[PartitionRecords], offset: int | None) -> dict[TopicPartition, int]:
    """Commit a transaction: it moves no offset of partial counts."""
    assert offset is None
    return {outgoing[0].partition: 0}


def test_versions_grow_where_all_windows_have_gone(
    table: WordCounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of an owner whose clock is behind are flushed by the next one if it crashes."""
    add(table, 0, "old")
    flush(table)
    newest = add(table, 0, "old")
    flush(table)
    table.owned[0].watermarks = {0: START + 10 * MINUTE}
    assert expire(table)
    assert table.totals() == {}
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now - 600 * 10**9)
    asyncio.run(table.load([0]))
    assert add(table, 10, "new") > newest
    asyncio.run(table.load([0]))
    assert flush(table) == ["new"]
