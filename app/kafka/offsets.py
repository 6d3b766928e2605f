"""Committed offsets of a group, with their metadata, read from the broker.

aiokafka 0.14's own `committed` and `list_consumer_group_offsets` ignore errors of the whole group,
such as that the coordinator still loads its log after a crash. They return "nothing is committed"
instead, and a worker would count everything again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.structs import OffsetAndMetadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import TopicPartition

__all__ = ["CommittedOffsets"]


class CommittedOffsets:
    """Reads the committed offsets of a group, by one connection that the first read opens."""

    def __init__(self, group: str, brokers: Sequence[str]) -> None:
        self._group = group
        self._brokers = list(brokers)
        self._client: AIOKafkaAdminClient | None = None
        self._connecting = asyncio.Lock()

    async def read(self, partition: TopicPartition) -> OffsetAndMetadata:
        """Return the committed offset and its metadata; offset -1 where nothing is committed.

        Raises KafkaError if the broker does not answer now.
        """
        client = await self._connected()
        try:
            return await self._fetch(client, partition)
        except (KafkaError, OSError):
            # The connection may be the cause: the next read opens a new one.
            await self._close(client)
            raise

    async def _fetch(
        self, client: AIOKafkaAdminClient, partition: TopicPartition
    ) -> OffsetAndMetadata:
        request = OffsetFetchRequest(self._group, [(partition.topic, [partition.partition])])
        coordinator = await client.find_coordinator(self._group)
        response = await client._send_request(request, coordinator)  # noqa: SLF001 - see above
        # While the coordinator loads its log, the answer has this error and no offsets.
        if response.error_code:
            raise for_code(response.error_code)(f"offsets of group {self._group}")
        for _, answers in response.topics:
            for _, offset, metadata, error_code in answers:
                if error_code:
                    raise for_code(error_code)(f"offset of {partition} in group {self._group}")
                return OffsetAndMetadata(offset, metadata)
        raise KafkaError(f"no answer about {partition} in group {self._group}")

    async def close(self) -> None:
        """Close the connection; the next `read` opens a new one."""
        async with self._connecting:
            if self._client is not None:
                await self._close(self._client)

    async def _close(self, client: AIOKafkaAdminClient) -> None:
        current = self._client is client  # not if another reader has closed it already
        if current:
            self._client = None
            await client.close()

    async def _connected(self) -> AIOKafkaAdminClient:
        # All tasks open at the same time: one of them connects, the others wait.
        async with self._connecting:
            if self._client is None:
                client = AIOKafkaAdminClient(bootstrap_servers=self._brokers)
                try:
                    await client.start()
                except BaseException:
                    await client.close()
                    raise
                self._client = client
            return self._client
