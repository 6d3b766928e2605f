"""Batches that wait in memory, with the times at which they were read."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from app.sources.base import Batch

__all__ = ["MemoryQueue", "Waiting", "dated"]

_WAITED_MS = 500
"""A batch that waited longer carries its own time; others share messages with later lines."""


class Waiting(NamedTuple):
    """A batch and its time of reading, in ms since 1970."""

    batch: Batch
    read_ms: int

    @property
    def dated(self) -> Batch:
        """The batch with the time at which it was read, unless it has an event time."""
        return dated(self.batch, self.read_ms)

    @property
    def due(self) -> Batch:
        """The batch to deliver now: with the time of reading if it has waited for long."""
        waited_ms = time.time_ns() // 1_000_000 - self.read_ms
        return self.dated if waited_ms > _WAITED_MS else self.batch


class MemoryQueue:
    """First in, first out; at least one batch fits, more of them up to a number of bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._waiting: deque[Waiting] = deque()
        self._bytes = 0

    def fits(self, batch: Batch) -> bool:
        """Whether there is space for a batch."""
        return not self._waiting or self._bytes + len(batch.text) <= self._limit_bytes

    def put(self, batch: Batch, read_ms: int) -> None:
        """Add a batch, even beyond the limit."""
        self._waiting.append(Waiting(batch, read_ms))
        self._bytes += len(batch.text)

    def get(self) -> Waiting | None:
        """Remove the oldest batch; None if there is none."""
        if not self._waiting:
            return None
        waiting = self._waiting.popleft()
        self._bytes -= len(waiting.batch.text)
        return waiting

    def all(self) -> list[Batch]:
        """All batches, dated, oldest first."""
        return [waiting.dated for waiting in self._waiting]


def dated(batch: Batch, read_ms: int) -> Batch:
    """The batch with the time at which it was read, unless it has an event time."""
    if batch.timestamp_ms is not None:
        return batch
    return dataclasses.replace(batch, timestamp_ms=read_ms)
