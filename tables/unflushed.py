"""The rows that Cassandra lacked at one moment, on their way there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from app.cassandra.rows import Row
from app.cassandra.top import TopRow
from tables.rows import PREFIX_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tables.word_counts import Partition, WordCounts

__all__ = ["Snapshot", "ranks_of"]


class _Taken(NamedTuple):
    """What was taken of a partition: its number, its version, the rows (key → count, version)."""

    partition: int
    own: Partition
    version: int
    rows: dict[bytes, tuple[int, int]]


class Snapshot:
    """Takes the unflushed rows of all owned partitions; `settle` says what became of them."""

    def __init__(self, table: WordCounts) -> None:
        self._table = table
        self._ranges = table.ranges
        # The version is read first: rows of a newer one may come along, but none is missed.
        self._taken = [
            _Taken(partition, own, own.version, own.take_unflushed())
            for partition, own in table.owned.items()
        ]

    def rows(self) -> list[Row]:
        """Every row, absolute, with its version as write time; heavy, for a thread."""
        return list(self._rows())

    def top_rows(self, n: int) -> list[TopRow]:
        """The first `n` words of every window with rows here, by partition; for a thread."""
        return [
            row
            for taken in self._taken
            for prefix in dict.fromkeys(key[:PREFIX_BYTES] for key in taken.rows)
            for row in self._ranks(taken, self._ranges.start_of(prefix), n)
        ]

    def settle(self, unwritten: Iterable[Row | TopRow] | None) -> None:
        """Put back what Cassandra did not take, None for all; the rest counts as flushed."""
        keys: set[bytes] = set()
        lists: set[tuple[int, int]] = set()
        for row in unwritten or ():
            if isinstance(row, TopRow):
                lists.add((row.partition, row.window_start_ms))
            else:
                keys.add(self._ranges.key(row.window_start_ms, row.word.encode()))
        for taken in self._taken:
            missing = taken.rows
            if unwritten is not None:
                missing = {key: taken.rows[key] for key in keys & taken.rows.keys()}
                missing |= self._one_of_each(taken, lists)
            if missing:
                taken.own.put_back(missing)
            else:
                taken.own.flushed = max(taken.own.flushed, taken.version)

    def _rows(self) -> Iterator[Row]:
        for taken in self._taken:
            prefix, start, end = b"", 0, None
            for key, (count, version) in taken.rows.items():
                if key[:PREFIX_BYTES] != prefix:
                    prefix = key[:PREFIX_BYTES]
                    start = self._ranges.start_of(prefix)
                    end = self._ranges.end_of(start)
                yield Row(key[PREFIX_BYTES:].decode(), start, end, count, version)

    def _ranks(self, taken: _Taken, start: int, n: int) -> list[TopRow]:
        try:
            return ranks_of(self._table, taken.partition, start, n)
        except Exception:
            if self._table.owned.get(taken.partition) is taken.own:
                raise
            return []  # the partition has gone, and its new owner does all of this again

    def _one_of_each(
        self, taken: _Taken, lists: set[tuple[int, int]]
    ) -> dict[bytes, tuple[int, int]]:
        """A row of each window whose list did not get through: then it is flushed again."""
        prefixes = {
            self._ranges.prefix(start) for partition, start in lists if partition == taken.partition
        }
        found: dict[bytes, bytes] = {}
        for key in taken.rows if prefixes else ():
            if key[:PREFIX_BYTES] in prefixes:
                found.setdefault(key[:PREFIX_BYTES], key)
        return {key: taken.rows[key] for key in found.values()}


def ranks_of(table: WordCounts, partition: int, start: int, n: int) -> list[TopRow]:
    """The first `n` words of a window in a partition, and the cut behind them."""
    end = table.ranges.end_of(start)
    version, words = table.top_of(partition, start, n)
    ranks = [
        TopRow(start, partition, rank, end, word, count, version)
        for rank, (word, count) in enumerate(words, 1)
    ]
    if len(words) == n:
        # A worker with a longer list may have been here: what is beyond ours is not kept up.
        ranks.append(TopRow(start, partition, n + 1, end, "", 0, version))
    return ranks
