"""The rows that Cassandra lacks, and those on their way there.

They go in passes. A pass takes what has changed up to a version; once Cassandra has all of it, it
has all rows up to that version. The first pass of a new owner is read from the store: the rows
that the owner before it had not flushed. A pass goes in slices, so that however many rows wait,
only a few are on their way.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Protocol

from rocksdict import DbClosedError

from app.cassandra.rows import Row
from tables.rows import PREFIX_BYTES, decode_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tables.word_counts import Partition, WordCounts

__all__ = ["SLICE_ROWS", "Backlog", "Counts", "Snapshot"]

SLICE_ROWS = 50_000
"""Rows that are on their way to Cassandra at once."""

SCAN_ROWS = 200_000
"""Rows of the store that are looked at for one slice: whoever waits must not wait for long."""

Counts = dict[bytes, tuple[int, int]]
"""Key → count, version."""


class Scan(Protocol):
    """The rows of a window in order of their keys."""

    def __call__(self, start: int, after: bytes) -> Iterable[tuple[bytes, bytes]]:
        """Keys and values after the key `after`; empty means from the first."""


class Backlog:
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
        """Up to so many of them; fewer, or none, where many others stand between."""
        taken: Counts = {}
        left = SCAN_ROWS
        while self._starts and left and len(taken) < rows:
            for key, value in self._scan(self._starts[-1], self._after):
                count, version = decode_row(value)
                if version > self._flushed:
                    taken[key] = (count, version)
                left -= 1
                if not left or len(taken) == rows:
                    self._after = key
                    return taken
            self._starts.pop()
            self._after = b""
        return taken


class Snapshot:
    """Takes a slice of the unflushed rows of all owned partitions; `settle` says how it went."""

    def __init__(self, table: WordCounts, rows: int = SLICE_ROWS) -> None:
        self._table = table
        self._ranges = table.ranges
        # Whose rows have waited longest comes first, or the others would never have a turn.
        self._owned = dict(sorted(table.owned.items(), key=lambda item: item[1].flushed))
        self._rows = rows
        self._taken: list[tuple[Partition, Counts]] = []

    def rows(self) -> list[Row]:
        """Every row, absolute, with its version as write time; heavy, for a thread."""
        left = self._rows
        for partition, own in self._owned.items():
            try:
                taken = own.take_unflushed(left)
            except DbClosedError:
                if self._table.owned.get(partition) is own:
                    raise
                continue  # its next owner flushes it
            self._taken.append((own, taken))
            left -= len(taken)
            if left <= 0:
                break
        return list(itertools.chain.from_iterable(self._read(taken) for _, taken in self._taken))

    def settle(self, unwritten: Iterable[Row] | None) -> None:
        """Put back what Cassandra did not take, None for all; the rest counts as flushed."""
        keys = None if unwritten is None else {self._key(row) for row in unwritten}
        for own, taken in self._taken:
            missing: Mapping[bytes, tuple[int, int]] = (
                taken if keys is None else {key: taken[key] for key in keys & taken.keys()}
            )
            own.settle(missing)

    @property
    def more(self) -> bool:
        """Whether rows of the passes under way are left."""
        return any(own.in_pass for own in self._owned.values())

    def _read(self, taken: Counts) -> Iterator[Row]:
        prefix, start, end = b"", 0, None
        for key, (count, version) in taken.items():
            if key[:PREFIX_BYTES] != prefix:
                prefix = key[:PREFIX_BYTES]
                start = self._ranges.start_of(prefix)
                end = self._ranges.end_of(start)
            yield Row(key[PREFIX_BYTES:].decode(), start, end, count, version)

    def _key(self, row: Row) -> bytes:
        return self._ranges.key(row.window_start_ms, row.word.encode())
