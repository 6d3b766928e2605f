"""Plain tuples of the table → rows for Cassandra; pure, so that tables import no client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.cassandra.rows import Row
from app.cassandra.top import TopRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.counting.windows import Windows
    from tables.flush_batch import ChangedCount, TopList

__all__ = ["count_rows", "top_rows"]


def count_rows(changed: Iterable[ChangedCount], windows: Windows) -> list[Row]:
    """Make a row of each changed count; its version becomes the write time."""
    end_of = windows.end_of
    return [
        Row(word, start, end_of(start), count, version) for start, word, count, version in changed
    ]


def top_rows(lists: Iterable[TopList], n: int, windows: Windows) -> list[TopRow]:
    """Make a row of each rank of top lists that hold up to `n` words.

    A list of `n` words is cut behind its end: a worker with a longer list may have written ranks
    there, and no worker updates them any more.
    """
    rows: list[TopRow] = []
    for partition, start, version, words in lists:
        end = windows.end_of(start)
        rows.extend(
            TopRow(start, partition, rank, end, word, count, version)
            for rank, (word, count) in enumerate(words, 1)
        )
        if len(words) == n:
            rows.append(TopRow(start, partition, n + 1, end, "", 0, version))
    return rows
