"""Kafka queries of the benchmark: offsets, the newest value of each key, topics to delete."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Topics"]

TAIL = 100
"""Records from the end that are searched for the last readable record."""


class Topics:
    """Requests to one broker; each opens its own connection, so call them seldom.

    All topics have `partitions` partitions.
    """

    def __init__(self, broker: str, partitions: int) -> None:
        self.broker = broker
        self.partitions = partitions

    def create(self, name: str) -> None:
        """Create a topic."""

        async def create() -> None:
            async with self._admin() as admin:
                await admin.create_topics([NewTopic(name, self.partitions, 1)])

        asyncio.run(create())

    def delete(self, prefix: str) -> None:
        """Delete the topics whose names begin with `prefix`."""

        async def delete() -> None:
            async with self._admin() as admin:
                names = [name for name in await admin.list_topics() if name.startswith(prefix)]
                if names:
                    await admin.delete_topics(names)

        with contextlib.suppress(KafkaError):
            asyncio.run(delete())

    def committed(self, group: str) -> dict[tuple[str, int], int]:
        """The group's committed offsets."""

        async def read() -> dict[tuple[str, int], int]:
            async with self._admin() as admin:
                found = await admin.list_consumer_group_offsets(group)
                return {(tp.topic, tp.partition): at.offset for tp, at in found.items()}

        return asyncio.run(read())

    def data_ends(self, topic: str) -> dict[tuple[str, int], int]:
        """Return the offset after each partition's last record that is no transaction marker."""

        async def read() -> dict[tuple[str, int], int]:
            ends = {}
            async for tp, records in self._read(topic, TAIL):
                ends[tp.topic, tp.partition] = records[-1].offset + 1
            return ends

        return asyncio.run(read())

    def newest(self, topic: str) -> dict[bytes, bytes]:
        """The newest committed value of each key."""

        async def read() -> dict[bytes, bytes]:
            values: dict[bytes, Any] = {}
            async for _, records in self._read(topic, None):
                values.update((record.key, record.value) for record in records)
            return {key: value for key, value in values.items() if value is not None}

        return asyncio.run(read())

    async def _read(
        self, topic: str, tail: int | None
    ) -> AsyncIterator[tuple[TopicPartition, list[Any]]]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.broker,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            tps = [TopicPartition(topic, number) for number in range(self.partitions)]
            ends = await consumer.end_offsets(tps)
            begins = await consumer.beginning_offsets(tps)
            consumer.assign(tps)
            for tp in tps:
                consumer.seek(tp, max(begins[tp], ends[tp] - tail if tail else 0))
            # Ends at the position, not at a last record: transaction markers bring no record.
            while any([await consumer.position(tp) < ends[tp] for tp in tps]):
                for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                    if records:
                        yield tp, records
        finally:
            await consumer.stop()

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.broker)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()
