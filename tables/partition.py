"""The state of one owned partition of word_counts: what its worker keeps in memory."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.counting.windows import NO_WATERMARK
from tables.dirty_rows import DirtyRows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tables.dirty_rows import RowsByKey
    from tables.rows import WindowTotals
    from tables.top import TopWords

__all__ = ["NotOwnedError", "PartitionState"]


class NotOwnedError(Exception):
    """A change reached a partition that this worker no longer owns."""


@dataclass(slots=True)
class PartitionState:
    """The state of one owned partition; `lock` guards its changes.

    `dirty` are the rows that Cassandra lacks, with the versions of the partition. `totals` are the
    windows, by start (ms). `watermarks` (ms) are those of each partition of lines that the counts
    came from. `active_at` is when each of these last sent more than far-future times (monotonic,
    s). Windows that start below `expired` (ms) are gone. `tops` are the candidates for the top
    words, kept for the windows of the latest questions.
    """

    dirty: DirtyRows = field(default_factory=DirtyRows)
    totals: dict[int, WindowTotals] = field(default_factory=dict)
    watermarks: dict[int, int] = field(default_factory=dict)
    active_at: dict[int, float] = field(default_factory=dict)
    expired: int = NO_WATERMARK
    tops: dict[int, TopWords] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    @property
    def version(self) -> int:
        """Version (µs) of the newest checkpoint."""
        return self.dirty.version

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock for a change. Raises NotOwnedError once the partition is closed.

        By then recovery, or another owner, may have passed this change: applying it would bring
        old rows back.
        """
        with self.lock:
            if self._closed:
                raise NotOwnedError
            yield

    def close(self) -> None:
        """Refuse all later changes; waits for one that is being applied."""
        with self.lock:
            self._closed = True

    def take_dirty(self, limit: int) -> RowsByKey:
        """Put dirty rows that cost up to `limit` in flight, and return them."""
        with self.lock:
            return self.dirty.take(limit)

    def acknowledge(self, missing: Mapping[bytes, tuple[int, int]]) -> None:
        """End the flight of rows; those that Cassandra did not take are `missing`."""
        with self.lock:
            self.dirty.acknowledge(missing)
