"""The offsets that Kafka holds of a partition, read through the worker's consumer."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from aiokafka.errors import KafkaError, KafkaTimeoutError

from app.kafka.offset_loss import OffsetRange

if TYPE_CHECKING:
    from faust.types import TP, ConsumerT

__all__ = ["ConsumerOwner", "OffsetRanges"]

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""Wait between two requests while a partition has no leader."""


class ConsumerOwner(Protocol):
    """The Faust application; it creates its consumer when it starts."""

    @property
    def consumer(self) -> ConsumerT:
        """The consumer of this worker."""

    @property
    def should_stop(self) -> bool:
        """Whether the worker is stopping."""


class OffsetRanges:
    """Reads the first and the end offset of partitions."""

    def __init__(self, owner: ConsumerOwner) -> None:
        self._owner = owner

    async def read(self, *partitions: TP) -> dict[TP, OffsetRange]:
        """Return the offsets that Kafka holds now. Raises KafkaError or IllegalStateError."""
        if not partitions:
            return {}
        # One after the other: each call goes to the consumer's thread, which runs one at a time.
        consumer = self._owner.consumer
        log_start = await consumer.earliest_offsets(*partitions)
        log_end = await consumer.highwaters(*partitions)
        return {tp: OffsetRange(log_start[tp], log_end[tp]) for tp in partitions}

    async def read_with_retry(self, *partitions: TP) -> dict[TP, OffsetRange]:
        """Return the offsets that Kafka holds; retry while a partition has no leader."""
        while True:
            try:
                return await self.read(*partitions)
            except KafkaError as error:
                # aiokafka does not mark its own time-out as retriable.
                passes = error.retriable or isinstance(error, KafkaTimeoutError)
                if self._owner.should_stop or not passes:
                    raise
                logger.warning("can't read where partitions begin and end, retrying: %r", error)
                await asyncio.sleep(RETRY_SECONDS)
