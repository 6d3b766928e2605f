"""Resume positions of sources, in a compacted topic, written in the lines' own transactions."""

from __future__ import annotations

import json
import math
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.kafka.producer import PartitionRecords, Record
from app.sources.notices import notify

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

__all__ = ["TOPIC_CONFIG", "Positions"]

TOPIC_CONFIG = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.1",
    "segment.ms": "3600000",
}


_SECONDS_TO_NOTICE = 5.0


class Positions:
    """The positions that a topic holds for one topic of lines.

    Offsets of a consumer group do not serve: Kafka deletes those of a group without members after a
    week, and a position of many files is longer than the metadata of an offset may be.
    """

    def __init__(self, brokers: Sequence[str], topic: str, lines: str) -> None:
        self._brokers = list(brokers)
        self._partition = TopicPartition(topic, 0)
        self._lines = lines

    async def read(self) -> dict[str, Any]:
        """Read the newest position of every key. Raises KafkaError."""
        async with _consumer(self._brokers, "read_uncommitted") as client:
            end = (await client.end_offsets([self._partition]))[self._partition]
        found: dict[str, Any] = {}
        async with _consumer(self._brokers, "read_committed") as client:
            client.assign([self._partition])
            await client.seek_to_beginning(self._partition)
            # Read up to the uncommitted end: an open transaction of another producer may hide
            # positions behind it that an earlier run of this source has committed.
            notice_at = time.monotonic() + _SECONDS_TO_NOTICE
            while await client.position(self._partition) < end:
                if time.monotonic() > notice_at:
                    notify(
                        "Waiting for the end of a transaction of another producer, up to a minute"
                    )
                    notice_at = math.inf
                for record in (await client.getmany(timeout_ms=200)).get(self._partition, []):
                    lines, key = json.loads(record.key)
                    if lines == self._lines:
                        found[key] = record.value and json.loads(record.value)
        return {key: value for key, value in found.items() if value is not None}

    async def partitions(self) -> list[int]:
        """Read the partitions of the topic of lines. Raises KafkaError."""
        async with _consumer(self._brokers, "read_committed") as client:
            return sorted(await client._client._wait_on_metadata(self._lines))  # noqa: SLF001

    def outgoing(self, positions: Mapping[str, Any]) -> PartitionRecords:
        """The records that store positions by key; a value of None deletes its key."""
        return PartitionRecords(
            self._partition,
            [
                Record(
                    json.dumps([self._lines, key]).encode(),
                    None if value is None else json.dumps(value).encode(),
                )
                for key, value in positions.items()
            ],
        )


@asynccontextmanager
async def _consumer(brokers: list[str], isolation: str) -> AsyncIterator[AIOKafkaConsumer]:
    client = AIOKafkaConsumer(
        bootstrap_servers=brokers, enable_auto_commit=False, isolation_level=isolation
    )
    try:
        await client.start()
        yield client
    finally:
        await client.stop()
