"""Reads topics of the tests' Kafka, and makes clients that read or change topics."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = [
    "administrator",
    "assign",
    "consume",
    "consumer",
    "count",
    "delivered",
    "lines_in",
]


@asynccontextmanager
async def administrator(broker: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client that creates and changes topics."""
    client = AIOKafkaAdminClient(bootstrap_servers=broker)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def consumer(broker: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A client that reads committed records."""
    client = AIOKafkaConsumer(
        bootstrap_servers=broker, enable_auto_commit=False, isolation_level="read_committed"
    )
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


async def assign(client: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    """Read a topic from its beginning, once it exists."""
    numbers = await client._client._wait_on_metadata(topic)
    partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
    client.assign(partitions)
    await client.seek_to_beginning(*partitions)
    return partitions


async def consume(broker: str, topic: str) -> list[Any]:
    """Every committed record of a topic, in order by partition."""
    async with consumer(broker) as client:
        partitions = await assign(client, topic)
        ends = await client.end_offsets(partitions)
        records: dict[TopicPartition, list[Any]] = {partition: [] for partition in partitions}
        while any([await client.position(p) < end for p, end in ends.items()]):
            for partition, found in (await client.getmany(timeout_ms=200)).items():
                records[partition] += found
        return [record for partition in partitions for record in records[partition]]


async def lines_in(broker: str, topic: str) -> list[bytes]:
    """Every committed line of a topic, in order within each partition."""
    return [line for r in await consume(broker, topic) for line in r.value.split(b"\n")]


async def delivered(
    broker: str, topic: str, number: int, seconds: float = 240, *, distinct: bool = False
) -> list[bytes]:
    """Wait until a topic holds `number` committed lines; return all its lines, sorted.

    `distinct`: wait for `number` different lines, since some may be there twice.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await _delivered(broker, topic, number, deadline, distinct=distinct)
        except KafkaError:  # a starting broker refuses some requests
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)


async def _delivered(
    broker: str, topic: str, number: int, deadline: float, *, distinct: bool
) -> list[bytes]:
    lines: list[bytes] = []
    async with consumer(broker) as client:
        await assign(client, topic)
        while len(set(lines) if distinct else lines) < number:
            assert time.monotonic() < deadline, f"{len(lines)} lines of {number}"
            for found in (await client.getmany(timeout_ms=200)).values():
                lines += [line for record in found for line in record.value.split(b"\n")]
    return sorted(lines)


def count(*texts: bytes) -> Counter[bytes]:
    """Count each word in the texts."""
    return Counter(word for text in texts for word in text.split())
