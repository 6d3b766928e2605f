"""Transactions of lines with their positions, as the port of a delivery."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from app.kafka.creation import no_broker
from app.kafka.offsets import CommittedOffsets
from app.kafka.producer import PartitionRecords, Record, TransactionalProducer
from app.sources.delivery.positions import Positions
from app.sources.delivery.producer import START_SECONDS
from app.sources.delivery.transactional import Opened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.sources.delivery.packing import Message

__all__ = ["KafkaTransactions"]

_POSITIONS_SECONDS = 90.0


class KafkaTransactions:
    """A transactional producer, fenced by the topic and the name of the source."""

    def __init__(
        self,
        brokers: Sequence[str],
        topic: str,
        *,
        group: str,
        name: str,
        positions_topic: str,
        batch_bytes: int,
    ) -> None:
        digest = hashlib.sha256(f"{topic} {name}".encode()).hexdigest()[:16]
        unique = f"{group}-{digest}"
        self._brokers = brokers
        self._topic = topic
        self._positions = Positions(brokers, positions_topic, topic)
        self._offsets = CommittedOffsets(unique, brokers)
        self._producer = TransactionalProducer(
            unique,
            TopicPartition(topic, 0),
            unique,
            brokers,
            self._offsets,
            batch_bytes=batch_bytes,
            compression="zstd",
        )

    async def open(self) -> Opened:
        """Fence earlier producers and read their positions. Raises UnavailableError."""
        try:
            async with asyncio.timeout(START_SECONDS):
                offset = (await self._producer.open()).offset
                partitions = await self._positions.partitions()
            # Kafka ends the transaction of a killed producer of another source after a minute.
            async with asyncio.timeout(_POSITIONS_SECONDS):
                positions = await self._positions.read()
        except BaseException as error:
            await self.close()
            if isinstance(error, KafkaError | OSError):
                raise no_broker(self._brokers, error) from None
            raise
        return Opened(partitions, positions, max(offset, 0))

    async def commit(
        self,
        messages: Mapping[int, Sequence[Message]],
        positions: Mapping[str, Any],
        number: int,
    ) -> None:
        """Commit messages by partition, positions by key and the number of the transaction."""
        lines = [
            PartitionRecords(TopicPartition(self._topic, partition), list(map(_record, some)))
            for partition, some in messages.items()
        ]
        # The number is committed as an offset. After an error the producer reads it back, and so
        # finds out whether the transaction took effect.
        await self._producer.commit([*lines, self._positions.outgoing(positions)], number)

    async def close(self) -> None:
        """Disconnect."""
        await self._producer.close()
        await self._offsets.close()


def _record(message: Message) -> Record:
    return Record(None, message.value, message.timestamp_ms, message.headers)
