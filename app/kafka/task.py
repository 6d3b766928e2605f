"""A task: one owned partition of a stage, its blocks in order and its transactional producer."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import TopicPartition

    from app.kafka.blocks import Block
    from app.kafka.producer import PartitionRecords, TransactionalProducer

__all__ = ["PartitionTask", "Work"]

QUEUE_BLOCKS = 4
"""Maximum number of blocks that wait in a task; then `put` waits, and with it the agent."""


class Work(Protocol):
    """The work of a stage in one task, until `task.take` returns None."""

    async def __call__(self, task: PartitionTask) -> None:
        """Work on the task's blocks."""


class PartitionTask:
    """One owned partition of a stage.

    `next_offset` is the offset of the next block that the task accepts. `metadata` is the metadata
    that was committed with the offset from which the task started.
    """

    def __init__(self, source: TopicPartition, producer: TransactionalProducer, start: int) -> None:
        self.source = source
        self.partition: int = source.partition
        self.next_offset = start
        self.metadata: str = producer.position.metadata
        self._start = start
        self._producer = producer
        self._blocks: deque[Block] = deque()
        self._closing = False
        self._changed = asyncio.Condition()

    @property
    def committed(self) -> tuple[int, str]:
        """The committed offset, and the metadata that was committed with it."""
        position = self._producer.position
        # After a reset the topic has no records before `_start`: they count as done.
        return max(position.offset, self._start), position.metadata

    @property
    def begun(self) -> bool:
        """Whether any offset has been committed."""
        return bool(self._producer.position.offset >= 0)

    async def put(self, block: Block) -> bool:
        """Queue `block` if it is the next one; wait while the queue is full.

        Return False if an earlier block is missing, or if the topic ends before `next_offset`.
        """
        if block.next <= self.next_offset:
            # A seek made Kafka send this block again. If the topic ended before the offset that
            # this task expects, it is not the topic that the task has read: it was recreated.
            return block.end >= self.next_offset
        if block.first > self.next_offset:
            return False
        # The records before `next_offset` are done; the block keeps the others.
        block = block if block.first == self.next_offset else block.after(self.next_offset)
        self.next_offset = block.next
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._blocks) < QUEUE_BLOCKS or self._closing)
            self._blocks.append(block)
            self._changed.notify_all()
        return True

    def reset_to(self, offset: int) -> None:
        """Continue from `offset`, since the topic has lost the records before it."""
        self.next_offset = max(self.next_offset, offset)
        self._start = max(self._start, offset)

    async def take(self, timeout: float | None = None) -> list[Block] | None:
        """Return all queued blocks, at least one; [] after `timeout` seconds; None once drained."""
        async with self._changed:
            try:
                await asyncio.wait_for(
                    self._changed.wait_for(lambda: self._blocks or self._closing), timeout
                )
            except TimeoutError:
                return []
            # All of them: one transaction covers as much as there is, so transactions grow with the
            # load.
            blocks = list(self._blocks)
            self._blocks.clear()
            self._changed.notify_all()
            return blocks if blocks or not self._closing else None

    async def gather(self, seconds: float) -> None:
        """Let blocks gather for `seconds`, or until the queue is full or the task closes."""
        with contextlib.suppress(TimeoutError):
            async with self._changed, asyncio.timeout(seconds):
                await self._changed.wait_for(
                    lambda: len(self._blocks) >= QUEUE_BLOCKS or self._closing
                )

    async def drain(self) -> None:
        """Stop waiting for blocks: `take` returns the queued ones, then None."""
        async with self._changed:
            self._closing = True
            self._changed.notify_all()

    async def commit(
        self, records: Sequence[PartitionRecords], offset: int | None, metadata: str = ""
    ) -> dict[TopicPartition, int]:
        """Write records and the offset in one transaction; return each partition's last offset.

        Raises FencedError if another worker has taken over this partition.
        """
        return await self._producer.commit(records, offset, metadata)
