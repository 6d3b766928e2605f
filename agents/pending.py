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

    `deltas` are the counts, `sources` the newest watermark (ms) of each partition of lines that had
    a part in them, `heard` those of them with counts in a window that their watermark has reached,
    `offset` the one that they reach; None while nothing has come. Past `most_rows` (of ordinary
    length) they are added up, and if that leaves many, the checkpoint comes before its time.
    """

    def __init__(self, interval_ms: int, most_rows: int) -> None:
        self.deltas: list[WindowCounts] = []
        self.watermarks: dict[int, int] = {}
        self.active_sources: set[int] = set()
        self.offset: int | None = None
        self._interval_ms = interval_ms
        self._most_rows = most_rows
        self._count = 0
        self._bytes = 0
        self._full = False
        self._deadline = math.inf

    def add(self, blocks: list[Block]) -> None:
        """Take in blocks of partial counts; heavy, for a thread."""
        for value in (value for block in blocks for value in block.records.values):
            counts = unpack(value)
            self.deltas.extend(counts.windows)
            known = self.watermarks.get(counts.source, counts.watermark)
            self.watermarks[counts.source] = max(known, counts.watermark)
            if any(own.start <= counts.watermark for own in counts.windows):
                self.active_sources.add(counts.source)
            self._count += sum(len(own.words) for own in counts.windows)
            self._bytes += len(value)
        if self.rows > self._most_rows:
            self._add_up()
            self._full = self.rows > self._most_rows // 2
        self.offset = blocks[-1].next
        self._deadline = min(self._deadline, time.monotonic() + self._interval_ms / 1000)

    def _add_up(self) -> None:
        """Make one row of a word's many: a frequent word comes with every block."""
        windows = by_window(self.deltas)
        if len(windows) <= MAX_SEPARATE_SETS:
            self.deltas = [
                WindowCounts(start, *merge_counts(parts)) for start, parts in windows.items()
            ]
            self._count = sum(len(own.words) for own in self.deltas)
            self._bytes = sum(own.words.nbytes + own.counts.nbytes for own in self.deltas)

    @property
    def rows(self) -> int:
        """How many counts wait; one of a long word counts as several."""
        # A count takes as many bytes in a message as a key has beside the word, or a few more.
        return checkpoint_cost(self._count, max(0, self._bytes - KEY_BYTES * self._count))

    @property
    def seconds_left(self) -> float:
        """Seconds until the checkpoint is due; infinite while nothing has come."""
        return max(0.0, self._deadline - time.monotonic())

    @property
    def due(self) -> bool:
        """Whether the checkpoint is due: by time, or by what has gathered."""
        return self.seconds_left == 0.0 or self._full
