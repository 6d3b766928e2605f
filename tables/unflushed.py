"""The rows that Cassandra lacked at one moment, on their way there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.cassandra.rows import Row
from tables.rows import PREFIX_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tables.word_counts import WordCounts

__all__ = ["Snapshot"]


class Snapshot:
    """Takes the unflushed rows of all owned partitions; `settle` says what became of them."""

    def __init__(self, table: WordCounts) -> None:
        self._ranges = table.ranges
        # The version is read first: rows of a newer one may come along, but none is missed.
        self._taken = [(own, own.version, own.take_unflushed()) for own in table.owned.values()]

    def rows(self) -> list[Row]:
        """Every row, absolute, with its version as write time; heavy, for a thread."""
        return list(self._rows())

    def settle(self, unwritten: Iterable[Row] | None) -> None:
        """Put back what Cassandra did not take, None for all; the rest counts as flushed."""
        keys = None if unwritten is None else {self._key(row) for row in unwritten}
        for own, version, taken in self._taken:
            missing = taken if keys is None else {key: taken[key] for key in keys & taken.keys()}
            if missing:
                own.put_back(missing)
            else:
                own.flushed = max(own.flushed, version)

    def _rows(self) -> Iterator[Row]:
        for _, _, taken in self._taken:
            prefix, start, end = b"", 0, None
            for key, (count, version) in taken.items():
                if key[:PREFIX_BYTES] != prefix:
                    prefix = key[:PREFIX_BYTES]
                    start = self._ranges.start_of(prefix)
                    end = self._ranges.end_of(start)
                yield Row(key[PREFIX_BYTES:].decode(), start, end, count, version)

    def _key(self, row: Row) -> bytes:
        return self._ranges.key(row.window_start_ms, row.word.encode())
