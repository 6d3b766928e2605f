"""Committed offsets of a group, with their metadata, read from the broker.

Not by the clients' own `committed` and `list_consumer_group_offsets`: aiokafka 0.14 passes over
what a coordinator says of the whole group, such as that it still loads its log after a crash, and
tells that nothing is committed. Whoever believed that would count everything once more.
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
    """Reads what a group has committed. One connection, opened when first needed."""

    def __init__(self, group: str, brokers: Sequence[str]) -> None:
        self._group = group
        self._brokers = list(brokers)
        self._client: AIOKafkaAdminClient | None = None
        self._connecting = asyncio.Lock()

    async def read(self, partition: TopicPartition) -> OffsetAndMetadata:
        """The committed offset and its metadata; offset -1 where nothing is committed.

        Raises KafkaError if the broker can't be asked now.
        """
        client = await self._connected()
        try:
            return await self._ask(client, partition)
        except (KafkaError, OSError):
            await self._close(client)
            raise

    async def _ask(
        self, client: AIOKafkaAdminClient, partition: TopicPartition
    ) -> OffsetAndMetadata:
        request = OffsetFetchRequest(self._group, [(partition.topic, [partition.partition])])
        coordinator = await client.find_coordinator(self._group)
        response = await client._send_request(request, coordinator)  # noqa: SLF001 - see above
        if response.error_code:
            raise for_code(response.error_code)(f"offsets of group {self._group}")
        for _, answers in response.topics:
            for _, offset, metadata, error_code in answers:
                if error_code:
                    raise for_code(error_code)(f"offset of {partition} in group {self._group}")
                return OffsetAndMetadata(offset, metadata)
        raise KafkaError(f"no answer about {partition} in group {self._group}")

    async def close(self) -> None:
        """Close the connection; `read` opens it again."""
        async with self._connecting:
            if self._client is not None:
                await self._close(self._client)

    async def _close(self, client: AIOKafkaAdminClient) -> None:
        current = self._client is client  # not if another reader has closed it already
        if current:
            self._client = None
            await client.close()

    async def _connected(self) -> AIOKafkaAdminClient:
        # All tasks open at once: one connects, the others wait for it.
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
