"""End offsets of partitions, asked of the broker over a connection of its own.

The worker's own consumer knows them only of what it fetches; under back-pressure it fetches
nothing, just when the lag is wanted.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from app.queries.peers import DEADLINE_SECONDS as ANSWER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiokafka import TopicPartition

    from app.queries.membership import Membership

__all__ = ["EndOffsets"]

FRESH_SECONDS = 1.0
"""How long an answer of the broker serves."""

DEADLINE_SECONDS = ANSWER_SECONDS / 2
"""How long the broker may take before the partitions' ends are unknown.

Well within the time that other workers wait: what a worker can tell without a broker is its answer.
"""


class EndOffsets:
    """The offset after the last committed record of partitions; one request at a time.

    `contact` takes note of the broker's answers.
    """

    def __init__(self, brokers: Sequence[str], contact: Membership) -> None:
        self.contact = contact
        self._brokers = list(brokers)
        self._client: AIOKafkaConsumer | None = None
        self._one_at_a_time = asyncio.Lock()
        self._wanted: frozenset[TopicPartition] = frozenset()
        self._known: dict[TopicPartition, int] = {}
        self._asked = float("-inf")

    async def read(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """End offsets, at most a second old; empty if the broker does not tell them now."""
        async with self._one_at_a_time:
            wanted = frozenset(partitions)
            if wanted != self._wanted or time.monotonic() - self._asked > FRESH_SECONDS:
                self._wanted, self._known = wanted, {}
                await self._ask()
            return self._known

    async def _ask(self) -> None:
        if not self._wanted:
            return
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                client = await self._connected()
                self._known = await client.end_offsets(list(self._wanted))
        except (KafkaError, OSError, TimeoutError):
            await self.close()  # the next request connects anew
        else:
            self.contact.answered()
        self._asked = time.monotonic()

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
