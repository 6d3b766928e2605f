"""The intake of a delivery: batches with clamped event times, packed into messages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from app.sources.delivery.packing import PACKED, Packer
from app.sources.event_time import TimestampClamp
from app.sources.line_splitter import LONGEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.sources.base import Batch
    from app.sources.delivery.packing import Message
    from app.sources.delivery.topic import TopicLimits

__all__ = ["Intake"]

_OVERHEAD_BYTES = 256
"""Bytes that a produce batch needs beside the text of its only message."""


class Intake:
    """Makes messages that a topic accepts: clamps event times, then packs lines."""

    def __init__(self, topic: str, limits: TopicLimits, *, packed_bytes: int = PACKED) -> None:
        self.message_bytes = min(limits.batch_bytes - _OVERHEAD_BYTES, LONGEST)
        """Most bytes of a message."""
        self._packer = Packer(size=packed_bytes, limit=self.message_bytes)
        self._clamp = TimestampClamp(topic, limits.times)

    @property
    def waiting(self) -> bool:
        """Whether lines wait for others to fill their message."""
        return self._packer.waiting

    @property
    def refused(self) -> int:
        """Words that were skipped because each is longer than a message may be."""
        return self._packer.refused

    @property
    def restamped(self) -> int:
        """Lines that got the present time because the topic refuses theirs."""
        return self._clamp.restamped

    def add(self, batch: Batch) -> Iterator[Message]:
        """Yield the messages that a batch, read just now, fills; keep the rest of its lines."""
        return self._packer.add(self._clamp(batch), time.time_ns() // 1_000_000)

    def flush(self) -> Iterator[Message]:
        """Yield the message that waits, if there is one."""
        return self._packer.flush()
