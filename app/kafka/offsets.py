"""Committed offsets of the application's group, with their metadata, read from the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import TopicPartition

__all__ = ["CommittedOffsets"]


class CommittedOffsets:
    """Reads what the group has committed. One connection, opened when first needed."""

    def __init__(self, group: str, brokers: Sequence[str]) -> None:
        self._group = group
        self._brokers = list(brokers)
        self._client: AIOKafkaAdminClient | None = None

    async def read(self, partition: TopicPartition) -> OffsetAndMetadata:
        """The committed offset and its metadata; offset -1 where nothing is committed.

        Raises KafkaError if the broker can't be asked now.
        """
        client = await self._connected()
        try:
            found = await client.list_consumer_group_offsets(self._group, partitions=[partition])
        except (KafkaError, OSError):
            await self.close()
            raise
        committed: OffsetAndMetadata = found.get(partition, OffsetAndMetadata(-1, ""))
        return committed

    async def close(self) -> None:
        """Close the connection; `read` opens it again."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _connected(self) -> AIOKafkaAdminClient:
        if self._client is None:
            client = AIOKafkaAdminClient(bootstrap_servers=self._brokers)
            try:
                await client.start()
            except BaseException:
                await client.close()
                raise
            self._client = client
        return self._client
