"""Dirty rows: the rows of one partition that Cassandra lacks, and the passes that flush them.

A pass covers every row that changed up to one version. When Cassandra has taken the whole pass, it
has all rows up to that version. A pass goes in slices: however many rows are dirty, only one slice
is in flight. The first pass of a new owner comes from the store: it holds the rows that the
previous owner had not flushed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from app.memory import KEY_BYTES, dirty_cost, excess_bytes, row_cost
from tables.rows import decode_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["DirtyRows", "InheritedDirtyRows", "RowsByKey", "Scan"]

SCAN_ROWS = 200_000
"""Maximum number of stored rows read for one slice, so that no slice takes long."""

RowsByKey = dict[bytes, tuple[int, int]]
"""Key → count, version."""


class Scan(Protocol):
    """The rows of a window in order of their keys."""

    def __call__(self, start: int, after: bytes) -> Iterable[tuple[bytes, bytes]]:
        """Return keys and values after the key `after`; an empty `after` means from the first."""


class InheritedDirtyRows:
    """Rows that the previous owner had not flushed, read from the store slice by slice.

    No iterator is kept from one slice to the next: it would keep a closed database locked.
    """

    def __init__(self, scan: Scan, starts: Iterable[int], flushed: int) -> None:
        self._scan = scan
        # In reverse, so that `pop` removes the oldest window.
        self._starts = sorted(starts, reverse=True)
        self._after = b""
        self._flushed = flushed

    def __bool__(self) -> bool:
        """Whether rows may be left."""
        return bool(self._starts)

    def take(self, limit: int) -> RowsByKey:
        """Return rows that cost up to `limit`; fewer, or none, where many clean rows lie between.

        A cost of 1 is that of a row of ordinary length.
        """
        taken: RowsByKey = {}
        left = SCAN_ROWS
        while self._starts and left and limit > 0:
            for key, value in self._scan(self._starts[-1], self._after):
                count, version = decode_row(value)
                if version > self._flushed:
                    taken[key] = (count, version)
                    limit -= row_cost(key)
                left -= 1
                if not left or limit <= 0:
                    self._after = key
                    return taken
            self._starts.pop()
            self._after = b""
        return taken


class DirtyRows:
    """The dirty rows of one partition: changed, in the present pass, or in flight to Cassandra.

    `version` (µs) is that of the partition's newest checkpoint, `flushed` the version up to which
    Cassandra has all rows. The lock of the partition's state guards all of this.
    """

    def __init__(
        self, version: int = 0, flushed: int = 0, inherited: InheritedDirtyRows | None = None
    ) -> None:
        self.version = version
        self.flushed = flushed
        self._inherited = inherited
        self._changed: RowsByKey = {}
        self._passing: RowsByKey = {}
        self._pass_version = version
        self._since = time.time_ns() // 1000
        # Of rows past the ordinary length only the sum of their excess is kept: to measure all keys
        # again for each question would cost more than the flush.
        self._excess_bytes = 0
        self._in_flight = 0
        self._excess_in_flight = 0

    def __len__(self) -> int:
        """Number of dirty rows in memory, those in flight among them."""
        return len(self._changed) + len(self._passing) + self._in_flight

    @property
    def cost(self) -> int:
        """Number of rows of ordinary length that take as much memory as the dirty rows do."""
        return dirty_cost(len(self), self._excess_bytes)

    @property
    def in_flight_cost(self) -> int:
        """The same of the rows in flight."""
        return dirty_cost(self._in_flight, self._excess_in_flight)

    @property
    def in_pass(self) -> bool:
        """Whether rows of the present pass are still to be taken."""
        return bool(self._passing) or bool(self._inherited)

    @property
    def since(self) -> int | None:
        """Time (µs) of the oldest change that Cassandra lacks, at the earliest of the load."""
        return max(self._since, self.flushed) if self.version > self.flushed else None

    def begin_version(self, version: int) -> None:
        """Make `version` that of the rows that are added next."""
        if self.flushed >= self.version:
            self._since = version
        self.version = version

    def add(self, keys: Sequence[bytes], rows: Iterable[tuple[int, int]]) -> None:
        """Add rows (count, version) that have changed."""
        self._excess_bytes += excess_bytes(
            key for key in keys if len(key) > KEY_BYTES and key not in self._changed
        )
        self._changed.update(zip(keys, rows, strict=True))

    def take(self, limit: int) -> RowsByKey:
        """Put rows of the pass that cost up to `limit` in flight, and return them."""
        if not self.in_pass:
            # The next pass is what has changed up to now. Later changes do not join it: a pass that
            # grows while it is flushed would never end.
            self._passing, self._changed = self._changed, {}
            self._pass_version = self.version
        if self._inherited and not self._passing:
            taken = self._inherited.take(limit)
            self._excess_bytes += excess_bytes(taken)
        elif self._fits(limit):
            taken, self._passing = self._passing, {}
        else:
            taken = {}
            while self._passing and limit > 0:
                key, row = self._passing.popitem()
                taken[key] = row
                limit -= row_cost(key)
        self._in_flight, self._excess_in_flight = len(taken), excess_bytes(taken)
        return taken

    def acknowledge(self, missing: Mapping[bytes, tuple[int, int]]) -> None:
        """End the flight of rows; those that Cassandra did not take are `missing` and go again.

        When none of the pass are left, its version is flushed.
        """
        # The rows in flight leave the sum, and those that Cassandra lacks come back to it.
        self._excess_bytes += excess_bytes(missing) - self._excess_in_flight
        self._in_flight = self._excess_in_flight = 0
        self._passing.update(missing)
        if not self.in_pass:
            self.flushed = max(self.flushed, self._pass_version)

    def _fits(self, limit: int) -> bool:
        left = len(self._passing)
        return left <= limit and dirty_cost(left, excess_bytes(self._passing)) <= limit
