"""Stages and lanes: who works on which partition, from which offset, with which writer.

A stage is one step of the stream (split, count). For each partition that this worker owns it has a
lane: the blocks in order and each once, the fenced writer, and a task that works on them. Lanes are
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

from app.kafka.writer import FencedError, Outgoing, PartitionWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.kafka.blocks import Block
    from app.kafka.offsets import CommittedOffsets

__all__ = ["Lane", "Stage", "Work"]

logger = logging.getLogger(__name__)

QUEUE_BLOCKS = 4
"""Blocks that a lane holds, besides those it works on, before the stage makes its source wait."""

CLOSE_SECONDS = 5.0
"""How long closing waits for a transaction under way: past it, the next writer ends it."""


class Work(Protocol):
    """What a stage does in one lane, until `lane.take` returns None."""

    async def __call__(self, lane: Lane) -> None:
        """Work on the lane's blocks."""


class Lane:
    """One owned partition of a stage.

    `expected` is the offset of the next block that it accepts; `metadata` what was committed with
    the offset that it started from.
    """

    def __init__(self, source: TopicPartition, writer: PartitionWriter, start: int) -> None:
        self.source = source
        self.partition: int = source.partition
        self.expected = start
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

    async def put(self, block: Block) -> bool:
        """Queue `block` if it is the next one, waiting for room; False if one before is missing."""
        if block.next <= self.expected:
            return True  # done already: it was fetched again after a seek
        if block.first > self.expected:
            return False
        block = block if block.first == self.expected else block.after(self.expected)
        self.expected = block.next
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._blocks) < QUEUE_BLOCKS or self._closing)
            self._blocks.append(block)
            self._changed.notify_all()
        return True

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
        """Let blocks gather for `seconds`, or until the lane is full or closes."""
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
        self, outgoing: Sequence[Outgoing], offset: int | None, metadata: str = ""
    ) -> dict[TopicPartition, int]:
        """Write records and the offset in one transaction; the last offset of each partition.

        Raises FencedError if another worker has taken over this partition.
        """
        return await self._writer.commit(outgoing, offset, metadata)


class Stage:
    """One step of the stream over all owned partitions of `topic`.

    `work` runs once for each lane; `on_failure` gets what ends a lane's work by accident (the
    worker must stop then), `on_fenced` is called when a lane is fenced though it was not closed.
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
    ) -> None:
        self.name = name
        self.topic = topic
        self.lanes: dict[int, Lane] = {}
        self._group = group
        self._brokers = brokers
        self._offsets = offsets
        self._work = work
        self._on_failure = on_failure
        self._on_fenced = on_fenced
        self._writers: dict[int, PartitionWriter] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._generation = -1

    async def open(self, partition: int, earliest: int) -> None:
        """Fence the partition's earlier writers, make its lane; `earliest` is its first offset."""
        source = TopicPartition(self.topic, partition)
        writer = PartitionWriter(
            f"{self._group}-{self.name}-{partition}",
            source,
            self._group,
            self._brokers,
            self._offsets,
        )
        self._writers[partition] = writer
        position = await writer.open()
        if 0 <= position.offset < earliest:
            logger.error(
                "%s[%d]: offsets %d to %d are gone before they were counted; "
                "give the topic a longer retention",
                self.topic,
                partition,
                position.offset,
                earliest - 1,
            )
        self.lanes[partition] = Lane(source, writer, max(position.offset, earliest))

    def start(self, generation: int) -> None:
        """Let the lanes work, on blocks that were fetched in `generation`."""
        self._generation = generation
        for partition, lane in self.lanes.items():
            self._tasks[partition] = asyncio.create_task(
                self._run(lane), name=f"{self.name}-{partition}"
            )

    async def close(self, *, drain: bool = False) -> None:
        """End all lanes: when draining, after they have finished what they hold."""
        self._generation = -1
        tasks = list(self._tasks.values())
        # Also when not draining: it lets go of an agent that waits for room in a lane.
        await asyncio.gather(*(lane.drain() for lane in self.lanes.values()))
        if tasks and drain:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        writers = list(self._writers.values())
        self._tasks.clear()
        self.lanes.clear()
        self._writers.clear()
        await asyncio.gather(*(writer.close() for writer in writers))

    @property
    def generation(self) -> int:
        """The group's generation whose blocks the lanes take; -1 while they don't work."""
        return self._generation

    def working(self) -> frozenset[int]:
        """Partitions whose lanes work: not yet, or no more, are those of a rebalance or fenced."""
        return frozenset(partition for partition, task in self._tasks.items() if not task.done())

    def expected(self) -> dict[int, int]:
        """The offset that each lane expects next, by partition."""
        return {partition: lane.expected for partition, lane in self.lanes.items()}

    async def put(self, block: Block) -> bool:
        """Hand `block` to its lane; False if a block before it is missing.

        A block of an older generation is dropped: its partition has been opened afresh since, and
        is read again from the committed offset.
        """
        lane = self.lanes.get(block.partition)
        if lane is None or block.generation != self._generation:
            return True
        return await lane.put(block)

    async def _run(self, lane: Lane) -> None:
        try:
            await self._work(lane)
        except asyncio.CancelledError:
            raise
        except FencedError:
            logger.info("%s of partition %d is fenced", self.name, lane.partition)
            self._on_fenced()
        except BaseException as error:
            # A lane that is closed already may find its table gone: no harm, nothing is committed.
            if lane in self.lanes.values():
                self._on_failure(error)
            else:
                logger.warning(
                    "%s of partition %d ended late: %r", self.name, lane.partition, error
                )
