"""Dirty rows in flight to Cassandra: what a batch takes, lists, and puts back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from app.counting.windows import Windows
from tables.dirty_rows import DirtyRows
from tables.flush_batch import ChangedCount, FlushBatch, TopList
from tables.partition import PartitionState

WINDOWS = Windows(60_000, None, 60_000, 3_600_000)
TOPS = {0: [("tea", 9), ("milk", 2)], 60_000: [("tea", 1)]}


def partition(version: int, *words: tuple[int, str, int]) -> PartitionState:
    """A partition whose checkpoint `version` has changed these rows (start, word, count)."""
    dirty = DirtyRows(version)
    for start, word, count in words:
        dirty.add([WINDOWS.key(start, word.encode())], [(count, version)])
    return PartitionState(dirty=dirty)


@pytest.fixture
def table() -> Any:
    """Partitions 0 and 2 of a table: both have changed in the first window, one in the second."""
    owned = {
        0: partition(7, (0, "tea", 9), (60_000, "tea", 1), (0, "milk", 2)),
        2: partition(5, (0, "soy", 3)),
    }

    def top_of(number: int, start: int, n: int) -> tuple[int, list[tuple[str, int]]]:
        return owned[number].version, (TOPS[start] if number == 0 else [("soy", 3)])[:n]

    return SimpleNamespace(windows=WINDOWS, owned=owned, top_of=top_of)


def taken(table: Any) -> FlushBatch:
    """A batch whose rows are in flight."""
    batch = FlushBatch(table)
    batch.take()
    return batch


def test_every_row_is_taken_with_its_version(table: Any) -> None:
    """A batch takes each absolute count once."""
    assert FlushBatch(table).take() == [
        ChangedCount(0, "tea", 9, 7),
        ChangedCount(60_000, "tea", 1, 7),
        ChangedCount(0, "milk", 2, 7),
        ChangedCount(0, "soy", 3, 5),
    ]
    assert FlushBatch(table).take() == []


def test_the_windows_of_the_rows_have_top_lists(table: Any) -> None:
    """Each list has its partition's version; a window without a change has none."""
    assert taken(table).top_lists(5) == [
        TopList(0, 0, 7, [("tea", 9), ("milk", 2)]),
        TopList(0, 60_000, 7, [("tea", 1)]),
        TopList(2, 0, 5, [("soy", 3)]),
    ]
    assert taken(table).top_lists(5) == []


def test_a_list_is_as_long_as_was_asked(table: Any) -> None:
    """Only the first words of a window are listed."""
    assert taken(table).top_lists(1)[0].words == [("tea", 9)]


def test_acknowledged_rows_are_flushed(table: Any) -> None:
    """Each partition is flushed up to the version that was taken."""
    batch = taken(table)
    table.owned[0].dirty.begin_version(8)
    batch.acknowledge([])
    assert [state.dirty.flushed for state in table.owned.values()] == [7, 5]
    assert [len(state.dirty) for state in table.owned.values()] == [0, 0]


def test_rows_that_did_not_get_through_go_again(table: Any) -> None:
    """They alone go again, and their partition is not flushed."""
    taken(table).acknowledge([(0, "milk")])
    assert [state.dirty.flushed for state in table.owned.values()] == [0, 5]
    assert FlushBatch(table).take() == [ChangedCount(0, "milk", 2, 7)]


def test_a_list_that_did_not_get_through_goes_again(table: Any) -> None:
    """A row of its window brings the list back; no row of another window is written twice."""
    taken(table).acknowledge([], {(0, 60_000)})
    assert [state.dirty.flushed for state in table.owned.values()] == [0, 5]
    again = FlushBatch(table)
    assert again.take() == [ChangedCount(60_000, "tea", 1, 7)]
    assert again.top_lists(5) == [TopList(0, 60_000, 7, [("tea", 1)])]


def test_a_flush_that_broke_off_puts_all_rows_back(table: Any) -> None:
    """Newer counts of the same rows come after them."""
    batch = taken(table)
    table.owned[2].dirty.add([WINDOWS.key(0, b"soy")], [(4, 6)])
    batch.put_back()
    again = FlushBatch(table)
    assert ChangedCount(0, "soy", 3, 5) in again.take()
    again.acknowledge([])
    assert FlushBatch(table).take() == [ChangedCount(0, "soy", 4, 6)]


def test_a_partition_that_went_meanwhile_has_no_lists(table: Any) -> None:
    """Its new owner writes them; a fault of a partition that is still owned is raised."""

    def fail(*_: Any) -> None:
        raise KeyError(0)

    batch = taken(table)
    table.top_of = fail
    with pytest.raises(KeyError):
        batch.top_lists(5)
    table.owned = {}
    assert batch.top_lists(5) == []
