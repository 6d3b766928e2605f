"""Tuples of the table become rows for Cassandra."""

from __future__ import annotations

from agents.cassandra_rows import count_rows, top_rows
from app.cassandra.rows import Row
from app.cassandra.top import TopRow
from app.counting.windows import Windows
from tables.flush_batch import ChangedCount, TopList

WINDOWS = Windows(60_000, None, 60_000, 3_600_000)
ENDLESS = Windows(None, None, 0, 0)
LIST = TopList(2, 60_000, 7, [("tea", 9), ("milk", 2)])


def test_a_count_becomes_a_row_written_at_its_version() -> None:
    """The row has both bounds of its window; the endless window has no end."""
    changed = [ChangedCount(0, "tea", 9, 7), ChangedCount(60_000, "tea", 1, 8)]
    assert count_rows(changed, WINDOWS) == [
        Row("tea", 0, 60_000, 9, 7),
        Row("tea", 60_000, 120_000, 1, 8),
    ]
    assert count_rows(changed[:1], ENDLESS) == [Row("tea", 0, None, 9, 7)]


def test_a_list_becomes_ranks_of_its_partition() -> None:
    """Ranks count from 1, and all have the version of the list."""
    assert top_rows([LIST], 5, WINDOWS) == [
        TopRow(60_000, 2, 1, 120_000, "tea", 9, 7),
        TopRow(60_000, 2, 2, 120_000, "milk", 2, 7),
    ]


def test_a_full_list_is_cut_behind_its_end() -> None:
    """A longer one may have been there; a list that is not full can't have been longer."""
    ranks = top_rows([LIST], 2, WINDOWS)
    assert [row for row in ranks if not row.word] == [TopRow(60_000, 2, 3, 120_000, "", 0, 7)]
