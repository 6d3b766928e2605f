"""Stages and tasks: who works on which partition, from which offset, with which writer.

A stage is one step of the stream (split, count). For each partition that this worker owns it has a
task: the blocks in order and each once, the fenced writer, and a task that works on them. Tasks are
opened before table recovery starts and closed when the group rebalances; whatever was not committed
is forgotten then, and read again from the committed offset by whoever owns the partition next.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import TYPE_CHECKING, Protocol

from aiokafka import TopicPartition

from app.kafka.offset_loss import refuse_new_topic
from app.kafka.producer import FencedError, PartitionRecords, TransactionalProducer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.kafka.blocks import Block
    from app.kafka.offset_loss import OffsetRange, OnOffsetLoss
    from app.kafka.offsets import CommittedOffsets

__all__ = ["PartitionTask", "Stage", "Work"]

logger = logging.getLogger(__name__)

QUEUE_BLOCKS = 4
"""Blocks that a task holds, besides those it works on, before the stage makes its source wait."""

CLOSE_SECONDS = 5.0
"""How long closing waits for a transaction under way: past it, the next writer ends it."""


class Work(Protocol):
    """What a stage does in one task, until `task.take` returns None."""

    async def __call__(self, task: PartitionTask) -> None:
        """Work on the task's blocks."""


class PartitionTask:
    """One owned partition of a stage.

    `expected` is the offset of the next block that it accepts; `metadata` what was committed with
    the offset that it started from.
    """

    def __init__(self, source: TopicPartition, writer: TransactionalProducer, start: int) -> None:
        self.source = source
        self.partition: int = source.partition
        self.next_offset = start
        self.metadata: str = writer.position.metadata
        self._start = start
        self._writer = writer
        self._blocks: deque[Block] = deque()
        self._closing = False
        self._changed = asyncio.Condition()

    @property
    def committed(self) -> tuple[int, str]:
        """The offset up to which all is committed, and the metadata committed with it."""
        position = self._writer.position
        return max(position.offset, self._start), position.metadata

    @property
    def begun(self) -> bool:
        """Whether any offset has been committed."""
        return bool(self._writer.position.offset >= 0)

    async def put(self, block: Block) -> bool:
        """Queue `block` if it is the next one, waiting for room.

        False if one before it is missing, or if the topic ends before what has been read of it.
        """
        if block.next <= self.next_offset:
            # Done already, fetched again after a seek; or of a topic that was made anew.
            return block.end >= self.next_offset
        if block.first > self.next_offset:
            return False
        block = block if block.first == self.next_offset else block.after(self.next_offset)
        self.next_offset = block.next
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._blocks) < QUEUE_BLOCKS or self._closing)
            self._blocks.append(block)
            self._changed.notify_all()
        return True

    def reset_to(self, offset: int) -> None:
        """Go on from `offset`: what is before it is gone."""
        self.next_offset = max(self.next_offset, offset)
        self._start = max(self._start, offset)

    async def take(self, timeout: float | None = None) -> list[Block] | None:
        """All queued blocks, waiting for the first; [] after `timeout` s; None once drained."""
        async with self._changed:
            try:
                await asyncio.wait_for(
                    self._changed.wait_for(lambda: self._blocks or self._closing), timeout
                )
            except TimeoutError:
                return []
            blocks = list(self._blocks)
            self._blocks.clear()
            self._changed.notify_all()
            return blocks if blocks or not self._closing else None

    async def gather(self, seconds: float) -> None:
        """Let blocks gather for `seconds`, or until the task is full or closes."""
        with contextlib.suppress(TimeoutError):
            async with self._changed, asyncio.timeout(seconds):
                await self._changed.wait_for(
                    lambda: len(self._blocks) >= QUEUE_BLOCKS or self._closing
                )

    async def drain(self) -> None:
        """Take no more blocks: `take` returns what is queued, then None."""
        async with self._changed:
            self._closing = True
            self._changed.notify_all()

    async def commit(
        self, outgoing: Sequence[PartitionRecords], offset: int | None, metadata: str = ""
    ) -> dict[TopicPartition, int]:
        """Write records and the offset in one transaction; the last offset of each partition.

        Raises FencedError if another worker has taken over this partition.
        """
        return await self._writer.commit(outgoing, offset, metadata)


class Stage:
    """One step of the stream over all owned partitions of `topic`.

    `work` runs once for each task; `on_failure` gets what ends a task's work by accident (the
    worker must stop then), `on_fenced` is called when a task is fenced though it was not closed,
    `on_offset_loss` gets offsets that the topic lost before they were read, and raises if nothing
    may be missing.
    """

    def __init__(
        self,
        name: str,
        topic: str,
        group: str,
        brokers: Sequence[str],
        offsets: CommittedOffsets,
        work: Work,
        *,
        on_failure: Callable[[BaseException], None],
        on_fenced: Callable[[], None],
        on_offset_loss: OnOffsetLoss,
    ) -> None:
        self.name = name
        self.topic = topic
        self.tasks: dict[int, PartitionTask] = {}
        self._group = group
        self._brokers = brokers
        self._offsets = offsets
        self._work = work
        self._on_failure = on_failure
        self._on_fenced = on_fenced
        self._on_offset_loss = on_offset_loss
        self._writers: dict[int, TransactionalProducer] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._generation = -1

    async def open(self, partition: int, offsets: OffsetRange) -> None:
        """Fence earlier producers of the partition, then make its task; the topic has `offsets`."""
        source = TopicPartition(self.topic, partition)
        writer = TransactionalProducer(
            f"{self._group}-{self.name}-{partition}",
            source,
            self._group,
            self._brokers,
            self._offsets,
        )
        self._writers[partition] = writer
        position = await writer.open()
        task = PartitionTask(source, writer, max(position.offset, 0))
        self._reset(task, offsets, begun=task.begun)
        self.tasks[partition] = task

    def reset(self, partition: int, offsets: OffsetRange) -> None:
        """Let a task whose next block does not come go on, given what the topic holds."""
        task = self.tasks.get(partition)
        if task is not None:
            self._reset(task, offsets, begun=True)

    def _reset(self, task: PartitionTask, offsets: OffsetRange, *, begun: bool) -> None:
        refuse_new_topic(task.source, task.next_offset, offsets.log_end)
        if task.next_offset < offsets.log_start:
            if begun:
                self._on_offset_loss(task.source, task.next_offset, offsets.log_start)
            task.reset_to(offsets.log_start)

    def start(self, generation: int) -> None:
        """Let the tasks work; `generation` is that of the group."""
        self._generation = generation
        for partition, task in self.tasks.items():
            self._running[partition] = asyncio.create_task(
                self._run(task), name=f"{self.name}-{partition}"
            )

    async def close(self, *, drain: bool = False) -> None:
        """End all tasks: when draining, after they have finished what they hold."""
        self._generation = -1
        tasks = list(self._running.values())
        # Also when not draining: it lets go of an agent that waits for room in a task.
        await asyncio.gather(*(task.drain() for task in self.tasks.values()))
        if tasks and drain:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        writers = list(self._writers.values())
        self._running.clear()
        self.tasks.clear()
        self._writers.clear()
        await asyncio.gather(*(writer.close() for writer in writers))

    @property
    def generation(self) -> int:
        """The group's generation in which the tasks work; -1 while they don't."""
        return self._generation

    def working(self) -> frozenset[int]:
        """Partitions whose tasks work: not yet, or no more, are those of a rebalance or fenced."""
        return frozenset(partition for partition, task in self._running.items() if not task.done())

    def next_offsets(self) -> dict[int, int]:
        """The offset that each task expects next, by partition."""
        return {partition: task.next_offset for partition, task in self.tasks.items()}

    async def put(self, block: Block) -> bool:
        """Hand `block` to its task; False if the topic must be asked what it holds.

        The generation in which it was fetched does not matter: what was committed to Kafka stays
        what it is, and the task judges by offsets. While tasks don't work, nothing is kept: the
        seek that follows their start brings it again, and the agent must not wait for their room,
        or recovery would wait for the agent.
        """
        task = self.tasks.get(block.partition)
        return task is None or self._generation < 0 or await task.put(block)

    async def _run(self, task: PartitionTask) -> None:
        try:
            await self._work(task)
        except asyncio.CancelledError:
            raise
        except FencedError:
            logger.info("%s of partition %d is fenced", self.name, task.partition)
            self._on_fenced()
        except BaseException as error:
            # A task that is closed already may find its table gone: no harm, nothing is committed.
            if task in self.tasks.values():
                self._on_failure(error)
            else:
                logger.warning(
                    "%s of partition %d ended late: %r", self.name, task.partition, error
                )
