"""The consumer group of a copy, in the cluster of the source."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Protocol

from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from app.kafka.offsets import CommittedOffsets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiokafka import TopicPartition

__all__ = ["GroupOffsets"]

logger = logging.getLogger(__name__)

_COMMIT_TIMEOUT_SECONDS = 10.0


class _Committer(Protocol):
    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None: ...


class GroupOffsets:
    """Reads where the group was before the first copy, and commits how far the copy is.

    The commits only serve tools that show lag: the copy itself resumes from its positions in the
    target. So a failed commit is logged, and nothing depends on it.
    """

    def __init__(self, group: str, brokers: Sequence[str]) -> None:
        self._committed = CommittedOffsets(group, brokers)
        self._yielded: deque[tuple[object, TopicPartition, int]] = deque()

    async def read(self, partition: TopicPartition) -> int | None:
        """Return the committed offset, None without one. Raises KafkaError, OSError."""
        committed = await self._committed.read(partition)
        return committed.offset if committed.offset >= 0 else None

    def yielded(self, position: object, partition: TopicPartition, offset: int) -> None:
        """Remember the offset that belongs to the position of a batch."""
        self._yielded.append((position, partition, offset))

    async def commit(self, position: object, consumer: _Committer) -> None:
        """Commit the offsets of all batches up to the one with this position."""
        # By identity: each batch has a position object of its own, and equal ones may repeat.
        if not any(yielded is position for yielded, *_ in self._yielded):
            return  # committed before
        offsets = {}
        yielded: object = None
        while yielded is not position:
            yielded, partition, offset = self._yielded.popleft()
            offsets[partition] = OffsetAndMetadata(offset, "")
        try:
            async with asyncio.timeout(_COMMIT_TIMEOUT_SECONDS):
                await consumer.commit(offsets)
        except (KafkaError, OSError, TimeoutError) as error:
            logger.warning("The group's offsets were not committed: %r", error)

    async def close(self) -> None:
        """Close the connection."""
        await self._committed.close()
