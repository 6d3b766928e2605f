"""The rows that Cassandra lacks, and those on their way there.

They go in passes. A pass takes what has changed up to a version; once Cassandra has all of it, it
has all rows up to that version. The first pass of a new owner is read from the store: the rows
that the owner before it had not flushed. A pass goes in slices, so that however many rows wait,
only a few are on their way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from rocksdict import DbClosedError

from app.cassandra.rows import Row
from app.cassandra.top import TopRow
from app.memory import row_weight
from tables.rows import PREFIX_BYTES, decode_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tables.partition import Partition
    from tables.word_counts import WordCounts

__all__ = ["SLICE_ROWS", "Counts", "FlushBatch", "InheritedDirtyRows", "ranks_of"]

SLICE_ROWS = 50_000
"""Rows of ordinary length that are on their way to Cassandra at once; fewer of long words."""

SCAN_ROWS = 200_000
"""Rows of the store that are looked at for one slice: whoever waits must not wait for long."""

Counts = dict[bytes, tuple[int, int]]
"""Key → count, version."""


class Scan(Protocol):
    """The rows of a window in order of their keys."""

    def __call__(self, start: int, after: bytes) -> Iterable[tuple[bytes, bytes]]:
        """Keys and values after the key `after`; empty means from the first."""


class InheritedDirtyRows:
    """Rows that the owner before had not flushed, read from the store slice by slice.

    No iterator is kept from one slice to the next: it would keep a closed database locked.
    """

    def __init__(self, scan: Scan, starts: Iterable[int], flushed: int) -> None:
        self._scan = scan
        self._starts = sorted(starts, reverse=True)
        self._after = b""
        self._flushed = flushed

    def __bool__(self) -> bool:
        """Whether any may be left."""
        return bool(self._starts)

    def take(self, rows: int) -> Counts:
        """Up to so many of ordinary length; fewer, or none, where many others stand between."""
        taken: Counts = {}
        left = SCAN_ROWS
        while self._starts and left and rows > 0:
            for key, value in self._scan(self._starts[-1], self._after):
                count, version = decode_row(value)
                if version > self._flushed:
                    taken[key] = (count, version)
                    rows -= row_weight(key)
                left -= 1
                if not left or rows <= 0:
                    self._after = key
                    return taken
            self._starts.pop()
            self._after = b""
        return taken


class _Taken(NamedTuple):
    """What was taken of a partition: its number and its rows."""

    partition: int
    own: Partition
    rows: Counts


class FlushBatch:
    """Takes a slice of the unflushed rows of all owned partitions; `settle` says how it went."""

    def __init__(self, table: WordCounts, rows: int = SLICE_ROWS) -> None:
        self._table = table
        self._ranges = table.ranges
        # Whose rows have waited longest comes first, or the others would never have a turn.
        self._owned = dict(sorted(table.owned.items(), key=lambda item: item[1].flushed))
        self._most = rows
        self._taken: list[_Taken] = []

    def rows(self) -> list[Row]:
        """Every row, absolute, with its version as write time; heavy, for a thread."""
        left = self._most
        for partition, own in self._owned.items():
            try:
                taken = own.take_unflushed(left)
            except DbClosedError:
                if self._table.owned.get(partition) is own:
                    raise
                continue  # its next owner flushes it
            self._taken.append(_Taken(partition, own, taken))
            left -= own.weight_on_the_way
            if left <= 0:
                break
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
            taken.own.settle(missing)

    @property
    def more(self) -> bool:
        """Whether rows of the passes under way are left."""
        return any(own.in_pass for own in self._owned.values())

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

    def _one_of_each(self, taken: _Taken, lists: set[tuple[int, int]]) -> Counts:
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
