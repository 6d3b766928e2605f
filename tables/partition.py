"""What a worker keeps in memory of one partition of word_counts that it owns."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.counting.windows import NO_WATERMARK
from app.memory import KEY_BYTES, longer_bytes, row_weight, unflushed_weight

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tables.rows import WindowTotals
    from tables.top import TopWords
    from tables.unflushed import Counts, InheritedDirtyRows

__all__ = ["ForgottenError", "Partition"]


class ForgottenError(Exception):
    """A change came when its partition was owned no more."""


@dataclass(slots=True)
class Partition:
    """What this worker keeps in memory of one partition that it owns; `lock` guards its changes.

    `version` is that of the newest checkpoint, `flushed` the one up to which Cassandra has all
    rows, `sources` the watermark (ms) of each partition of lines, `heard` when more of it last came
    than far-future times (monotonic, s), `expired` the start (ms) below which windows are gone,
    `unflushed` the rows (key → count, version) that Cassandra lacks, beside those of the pass under
    way and of the `backlog` of the owner before, `tops` the candidates of the windows that were
    asked for.
    """

    version: int = 0
    flushed: int = 0
    windows: dict[int, WindowTotals] = field(default_factory=dict)
    sources: dict[int, int] = field(default_factory=dict)
    heard: dict[int, float] = field(default_factory=dict)
    expired: int = NO_WATERMARK
    unflushed: Counts = field(default_factory=dict)
    backlog: InheritedDirtyRows | None = None
    tops: dict[int, TopWords] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _since: int = field(default_factory=lambda: time.time_ns() // 1000)
    _passing: Counts = field(default_factory=dict)
    _on_the_way: int = 0
    _longer: int = 0
    _longer_on_the_way: int = 0
    _pass_version: int = 0
    _closed: bool = False

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock for a change; raises ForgottenError once the partition is owned no more.

        Recovery may have gone past the change by then, and other owners further: it would bring
        back what was.
        """
        with self.lock:
            if self._closed:
                raise ForgottenError
            yield

    def close(self) -> None:
        """Take no more changes."""
        with self.lock:
            self._closed = True

    def begin_with(self, backlog: InheritedDirtyRows) -> None:
        """Let the first pass be what the owner before had not flushed."""
        self.backlog = backlog
        self._pass_version = self.version

    def add_unflushed(self, keys: Sequence[bytes], rows: Iterable[tuple[int, int]]) -> None:
        """Let rows (count, version) that have changed wait for Cassandra; within `changing`."""
        self._longer += longer_bytes(
            key for key in keys if len(key) > KEY_BYTES and key not in self.unflushed
        )
        self.unflushed.update(zip(keys, rows, strict=True))

    def take_unflushed(self, rows: int) -> Counts:
        """Hand over up to so many rows of ordinary length that Cassandra lacks."""
        with self.lock:
            if not self.in_pass:
                # All that has changed up to now is the next pass: later changes do not join it.
                self._passing, self.unflushed = self.unflushed, {}
                self._pass_version = self.version
            if self.backlog and not self._passing:
                taken = self.backlog.take(rows)
                self._longer += longer_bytes(taken)
            elif self._passes_whole(rows):
                taken, self._passing = self._passing, {}
            else:
                taken = {}
                while self._passing and rows > 0:
                    key, row = self._passing.popitem()
                    taken[key] = row
                    rows -= row_weight(key)
            self._on_the_way, self._longer_on_the_way = len(taken), longer_bytes(taken)
        return taken

    def _passes_whole(self, rows: int) -> bool:
        left = len(self._passing)
        return left <= rows and unflushed_weight(left, longer_bytes(self._passing)) <= rows

    def settle(self, missing: Mapping[bytes, tuple[int, int]]) -> None:
        """Take back rows that Cassandra did not take; if none are left, the pass is over."""
        with self.lock:
            self._longer += longer_bytes(missing) - self._longer_on_the_way
            self._on_the_way = self._longer_on_the_way = 0
            self._passing.update(missing)
            if not self.in_pass:
                self.flushed = max(self.flushed, self._pass_version)

    @property
    def in_pass(self) -> bool:
        """Whether rows of the pass under way are still to be taken."""
        return bool(self._passing) or bool(self.backlog)

    @property
    def waiting(self) -> int:
        """Rows that Cassandra lacks, those on their way to it among them."""
        return len(self.unflushed) + len(self._passing) + self._on_the_way

    @property
    def weight(self) -> int:
        """How many rows of ordinary length take as much memory as those that wait."""
        return unflushed_weight(self.waiting, self._longer)

    @property
    def weight_on_the_way(self) -> int:
        """The same of those on their way to Cassandra."""
        return unflushed_weight(self._on_the_way, self._longer_on_the_way)

    @property
    def unflushed_since(self) -> int | None:
        """Time (µs) of the oldest change that Cassandra lacks, at the earliest of the load."""
        return max(self._since, self.flushed) if self.version > self.flushed else None
