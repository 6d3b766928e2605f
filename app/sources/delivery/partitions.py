"""The partition of each message: by its key, otherwise in turn."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from app.sources.delivery.contract import LINGER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.sources.delivery.packing import Message

__all__ = ["FixedPartitions", "PartitionChooser", "Partitions"]

_STRETCH_BYTES = 256 << 10
"""Bytes that go to one partition before the next one has its turn."""


class Partitions(Protocol):
    """The partitions of a topic."""

    def partitions(self) -> Sequence[int]:
        """All partitions, in ascending order; empty while they are unknown."""

    def available_partitions(self) -> Sequence[int]:
        """The partitions that have a leader, in ascending order; empty if none is known."""


class FixedPartitions:
    """Partitions that were read once."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = numbers

    def partitions(self) -> Sequence[int]:
        """All partitions."""
        return self._numbers

    def available_partitions(self) -> Sequence[int]:
        """All partitions: a transaction waits for a leader."""
        return self._numbers


class PartitionChooser:
    """Chooses partitions: one key always the same one, messages without a key in turn.

    A turn is a stretch of bytes, so that produce batches fill up.
    """

    def __init__(self, topic: Partitions, clock: Callable[[], float]) -> None:
        self._topic = topic
        self._clock = clock
        self._current = -1
        self._stretch_bytes = 0
        self._stretch_since = -math.inf

    def choose(self, message: Message) -> int:
        """The partition that a message goes to."""
        if message.partition_key is None:
            return self._in_turn(len(message.value))
        # All partitions, not only those with a leader: a key must not move while a broker is away.
        partitions = self._topic.partitions() or self._available()
        return partitions[message.partition_key % len(partitions)]

    def _in_turn(self, size: int) -> int:
        now = self._clock()
        if (
            self._stretch_bytes + size > _STRETCH_BYTES
            or now > self._stretch_since + LINGER_SECONDS
        ):
            # The next number that has a leader; after the highest one the lowest.
            available = self._available()
            later = [partition for partition in available if partition > self._current]
            self._current = later[0] if later else available[0]
            self._stretch_bytes = 0
            self._stretch_since = now
        self._stretch_bytes += size
        return self._current

    def _available(self) -> Sequence[int]:
        # While nothing is known, as in an outage, stay with the present partition.
        return (
            self._topic.available_partitions()
            or self._topic.partitions()
            or [max(self._current, 0)]
        )
