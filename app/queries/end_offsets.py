"""End offsets of partitions, fetched from the broker over a connection of their own.

The worker's own consumer knows end offsets only of the partitions that it fetches. Under
back-pressure it fetches nothing, and that is when the lag matters.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from app.queries.peers import DEADLINE_SECONDS as PEER_DEADLINE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiokafka import TopicPartition

    from app.queries.membership import Membership

__all__ = ["EndOffsets"]

FRESH_SECONDS = 1.0
"""How long an answer of the broker is reused."""

DEADLINE_SECONDS = PEER_DEADLINE_SECONDS / 2
"""How long the broker may take; after that the end offsets are unknown.

It is well below the time that other workers wait, so that a worker without a broker still answers.
"""


class EndOffsets:
    """Reads the offset after the last committed record of partitions; one request at a time.

    `membership` records each answer of the broker.
    """

    def __init__(self, brokers: Sequence[str], membership: Membership) -> None:
        self._membership = membership
        self._brokers = list(brokers)
        self._client: AIOKafkaConsumer | None = None
        self._one_at_a_time = asyncio.Lock()
        self._wanted: frozenset[TopicPartition] = frozenset()
        self._known: dict[TopicPartition, int] = {}
        self._requested_at = float("-inf")

    async def read(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """End offsets, at most a second old; empty if the broker does not answer now."""
        # Concurrent queries wait here for one request, and share its answer.
        async with self._one_at_a_time:
            wanted = frozenset(partitions)
            if wanted != self._wanted or time.monotonic() - self._requested_at > FRESH_SECONDS:
                self._wanted, self._known = wanted, {}
                await self._request()
            return self._known

    async def _request(self) -> None:
        if not self._wanted:
            return
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                client = await self._connected()
                self._known = await client.end_offsets(list(self._wanted))
        except (KafkaError, OSError, TimeoutError):
            await self.close()  # the next request reconnects
        else:
            self._membership.answered()
        self._requested_at = time.monotonic()

    async def close(self) -> None:
        """Close the connection; `read` opens it again."""
        client, self._client = self._client, None
        if client is not None:
            await client.stop()

    async def _connected(self) -> AIOKafkaConsumer:
        if self._client is None:
            client = AIOKafkaConsumer(
                bootstrap_servers=self._brokers,
                isolation_level="read_committed",
                enable_auto_commit=False,
            )
            try:
                await client.start()
            except BaseException:
                await client.stop()
                raise
            self._client = client
        return self._client
