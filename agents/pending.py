"""Partial counts that wait for the next checkpoint of their partition."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from app.counting.pairs import MAX_SEPARATE_SETS
from app.counting.partials import WindowCounts, by_window, unpack
from app.counting.text import merge_counts
from app.memory import KEY_BYTES, checkpoint_cost

if TYPE_CHECKING:
    from app.kafka.blocks import Block

__all__ = ["Pending"]


class Pending:
    """Partial counts since the last checkpoint, and when the next one is due.

    `deltas` are the counts. `watermarks` (ms) are the newest of each partition of lines that the
    counts came from; `active_sources` are those partitions with counts in a window that their
    watermark has reached. `offset` is the next one of partial counts, None while none have come.
    Past `max_rows` (of ordinary length) counts are added up. If many rows remain, the checkpoint is
    due at once.
    """

    def __init__(self, interval_ms: int, max_rows: int) -> None:
        self.deltas: list[WindowCounts] = []
        self.watermarks: dict[int, int] = {}
        self.active_sources: set[int] = set()
        self.offset: int | None = None
        self._interval_ms = interval_ms
        self._max_rows = max_rows
        self._count = 0
        self._bytes = 0
        self._full = False
        self._deadline = math.inf

    def add(self, blocks: list[Block]) -> None:
        """Add blocks of partial counts; heavy, for a thread."""
        for value in (value for block in blocks for value in block.records.values):
            counts = unpack(value)
            self.deltas.extend(counts.windows)
            known = self.watermarks.get(counts.source, counts.watermark)
            self.watermarks[counts.source] = max(known, counts.watermark)
            if any(window.start <= counts.watermark for window in counts.windows):
                self.active_sources.add(counts.source)
            self._count += sum(len(window.words) for window in counts.windows)
            self._bytes += len(value)
        if self.rows > self._max_rows:
            self._add_up()
            # If more than half is left, few words repeat, and adding up again would free little.
            self._full = self.rows > self._max_rows // 2
        self.offset = blocks[-1].next
        self._deadline = min(self._deadline, time.monotonic() + self._interval_ms / 1000)

    def _add_up(self) -> None:
        """Add up the counts of each word: a frequent word comes with every block."""
        windows = by_window(self.deltas)
        # Many windows stay as they are: a call for each would cost too much. The checkpoint adds
        # them up together.
        if len(windows) <= MAX_SEPARATE_SETS:
            self.deltas = [
                WindowCounts(start, *merge_counts(parts)) for start, parts in windows.items()
            ]
            self._count = sum(len(window.words) for window in self.deltas)
            self._bytes = sum(window.words.nbytes + window.counts.nbytes for window in self.deltas)

    @property
    def rows(self) -> int:
        """Cost of the counts that wait, in rows; a count of a long word costs several."""
        # In a message a count takes as many bytes beside its word as a key does, or a few more.
        return checkpoint_cost(self._count, max(0, self._bytes - KEY_BYTES * self._count))

    @property
    def seconds_left(self) -> float:
        """Seconds until the checkpoint is due; infinite while nothing has come."""
        return max(0.0, self._deadline - time.monotonic())

    @property
    def due(self) -> bool:
        """Whether the checkpoint is due: its time has come, or many rows have gathered."""
        return self.seconds_left == 0.0 or self._full
