"""Rows on their way to Cassandra: what is taken, ranked, put back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from app.cassandra.rows import Row
from app.cassandra.top import TopRow
from app.counting.windows import Windows
from tables.partition import Partition
from tables.unflushed import FlushBatch

RANGES = Windows(60_000, None, 60_000, 3_600_000)
TOPS = {0: [("tea", 9), ("milk", 2)], 60_000: [("tea", 1)]}


def partition(version: int, *words: tuple[int, str, int]) -> Partition:
    """A partition whose checkpoint `version` has changed these rows (start, word, count)."""
    own = Partition(version=version)
    for start, word, count in words:
        own.unflushed[RANGES.key(start, word.encode())] = (count, version)
    return own


@pytest.fixture
def table() -> Any:
    """Partitions 0 and 2 of a table: both have changed in the first window, one in the second."""
    owned = {
        0: partition(7, (0, "tea", 9), (60_000, "tea", 1), (0, "milk", 2)),
        2: partition(5, (0, "soy", 3)),
    }

    def top_of(number: int, start: int, n: int) -> tuple[int, list[tuple[str, int]]]:
        return owned[number].version, (TOPS[start] if number == 0 else [("soy", 3)])[:n]

    return SimpleNamespace(ranges=RANGES, owned=owned, top_of=top_of)


def taken(table: Any) -> FlushBatch:
    """A snapshot whose rows have been taken."""
    snapshot = FlushBatch(table)
    snapshot.rows()
    return snapshot


def test_every_row_is_taken_with_its_version(table: Any) -> None:
    """Absolute counts, once."""
    snapshot = FlushBatch(table)
    assert snapshot.rows() == [
        Row("tea", 0, 60_000, 9, 7),
        Row("tea", 60_000, 120_000, 1, 7),
        Row("milk", 0, 60_000, 2, 7),
        Row("soy", 0, 60_000, 3, 5),
    ]
    assert FlushBatch(table).rows() == []


def test_the_windows_of_the_rows_are_ranked(table: Any) -> None:
    """By partition, each list with its partition's version; none of windows without a change."""
    assert taken(table).top_rows(5) == [
        TopRow(0, 0, 1, 60_000, "tea", 9, 7),
        TopRow(0, 0, 2, 60_000, "milk", 2, 7),
        TopRow(60_000, 0, 1, 120_000, "tea", 1, 7),
        TopRow(0, 2, 1, 60_000, "soy", 3, 5),
    ]
    assert taken(table).top_rows(5) == []


def test_a_full_list_is_cut_behind_its_end(table: Any) -> None:
    """A longer one may have been there; a list that is not full can't have been longer."""
    ranks = taken(table).top_rows(2)
    assert [row for row in ranks if not row.word] == [TopRow(0, 0, 3, 60_000, "", 0, 7)]


def test_what_was_written_is_flushed(table: Any) -> None:
    """Each partition up to the version that was taken."""
    snapshot = taken(table)
    table.owned[0].version = 8
    snapshot.settle([])
    assert [own.flushed for own in table.owned.values()] == [7, 5]
    assert [own.waiting for own in table.owned.values()] == [0, 0]


def test_rows_that_did_not_get_through_go_again(table: Any) -> None:
    """They alone, and their partition is not flushed."""
    snapshot = taken(table)
    snapshot.settle([Row("milk", 0, 60_000, 2, 7)])
    assert [own.flushed for own in table.owned.values()] == [0, 5]
    assert FlushBatch(table).rows() == [Row("milk", 0, 60_000, 2, 7)]


def test_a_list_that_did_not_get_through_goes_again(table: Any) -> None:
    """A row of its window brings it back; of the other windows nothing is written twice."""
    snapshot = taken(table)
    snapshot.settle([TopRow(60_000, 0, 1, 120_000, "tea", 1, 7)])
    assert [own.flushed for own in table.owned.values()] == [0, 5]
    again = FlushBatch(table)
    assert again.rows() == [Row("tea", 60_000, 120_000, 1, 7)]
    assert again.top_rows(5) == [TopRow(60_000, 0, 1, 120_000, "tea", 1, 7)]


def test_a_flush_that_broke_off_puts_all_back(table: Any) -> None:
    """Newer counts of the same rows come after them."""
    snapshot = taken(table)
    table.owned[2].unflushed[RANGES.key(0, b"soy")] = (4, 6)
    snapshot.settle(None)
    again = FlushBatch(table)
    assert Row("soy", 0, 60_000, 3, 5) in again.rows()
    again.settle([])
    assert FlushBatch(table).rows() == [Row("soy", 0, 60_000, 4, 6)]


def test_a_partition_that_went_meanwhile_has_no_ranks(table: Any) -> None:
    """Its new owner writes them; a fault of a partition that is owned is raised."""

    def fail(*_: Any) -> None:
        raise KeyError(0)

    snapshot = taken(table)
    table.top_of = fail
    with pytest.raises(KeyError):
        snapshot.top_rows(5)
    table.owned = {}
    assert snapshot.top_rows(5) == []
