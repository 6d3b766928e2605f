"""A stage: one step of the stream (split, count), with a task for each partition it owns.

Tasks are opened before the table is recovered, and closed when the group rebalances. A closed task
drops the blocks that it has not committed: the next owner fetches them from the committed offset.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from app.kafka.offset_loss import refuse_recreated_topic
from app.kafka.producer import FencedError, TransactionalProducer
from app.kafka.task import PartitionTask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.kafka.blocks import Block
    from app.kafka.offset_loss import OffsetRange, OnOffsetLoss
    from app.kafka.offsets import CommittedOffsets
    from app.kafka.task import Work

__all__ = ["Stage"]

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0
"""How long closing waits for a transaction; after that, the partition's next producer ends it."""


class Stage:
    """One step of the stream over all owned partitions of `topic`.

    `work` runs once in each task. `on_failure` receives an unexpected error of that work.
    `on_fenced` is called when a task that is still open has been fenced. `on_gap` is called when a
    block before the present one has not come. `on_offset_loss` receives offsets that the topic lost
    before they were read; it raises if none may be missing.
    """

    def __init__(
        self,
        name: str,
        topic: str,
        work: Work,
        *,
        group: str,
        brokers: Sequence[str],
        offsets: CommittedOffsets,
        on_failure: Callable[[BaseException], None],
        on_fenced: Callable[[], None],
        on_gap: Callable[[Stage, int], None],
        on_offset_loss: OnOffsetLoss,
    ) -> None:
        self.name = name
        self.topic = topic
        self.tasks: dict[int, PartitionTask] = {}
        self._opened: dict[int, PartitionTask] = {}
        self._group = group
        self._brokers = brokers
        self._offsets = offsets
        self._work = work
        self._on_failure = on_failure
        self._on_fenced = on_fenced
        self._on_gap = on_gap
        self._on_offset_loss = on_offset_loss
        self._producers: dict[int, TransactionalProducer] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._generation = -1

    async def open(self, partition: int) -> None:
        """Fence earlier producers of the partition and open its task; `place` must follow."""
        source = TopicPartition(self.topic, partition)
        producer = TransactionalProducer(
            f"{self._group}-{self.name}-{partition}",
            source,
            self._group,
            self._brokers,
            self._offsets,
        )
        self._producers[partition] = producer
        position = await producer.open()
        # An offset of -1 means that nothing has been committed: the task begins at the start.
        self._opened[partition] = PartitionTask(source, producer, max(position.offset, 0))

    def place(self, partition: int, offsets: OffsetRange) -> None:
        """Let an opened task begin where its topic, which now holds `offsets`, can be read."""
        task = self._opened.pop(partition)
        self._reset(task, offsets, begun=task.begun)
        self.tasks[partition] = task

    def reset(self, partition: int, offsets: OffsetRange) -> None:
        """Reset a task whose next block does not come to `offsets`, which the topic holds."""
        task = self.tasks.get(partition)
        if task is not None:
            self._reset(task, offsets, begun=True)

    def _reset(self, task: PartitionTask, offsets: OffsetRange, *, begun: bool) -> None:
        refuse_recreated_topic(task.source, task.next_offset, offsets.log_end)
        if task.next_offset < offsets.log_start:
            # A task that has committed nothing yet loses nothing: its input begins where the topic
            # does.
            if begun:
                self._on_offset_loss(task.source, task.next_offset, offsets.log_start)
            task.reset_to(offsets.log_start)

    def start(self, generation: int) -> None:
        """Start the work of all tasks in this `generation` of the group."""
        self._generation = generation
        for partition, task in self.tasks.items():
            self._running[partition] = asyncio.create_task(
                self._run(task), name=f"{self.name}-{partition}"
            )

    async def close(self, *, drain: bool = False) -> None:
        """End all tasks; with `drain`, let each of them finish the blocks that it holds first."""
        self._generation = -1
        tasks = list(self._running.values())
        # Also without `drain`: an agent may wait in `put` for a full queue, and this frees it.
        await asyncio.gather(*(task.drain() for task in self.tasks.values()))
        if tasks and drain:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        # A task may outlive the wait. Once it is no longer in `tasks`, its error does not stop the
        # worker.
        producers = list(self._producers.values())
        self._running.clear()
        self.tasks.clear()
        self._opened.clear()
        self._producers.clear()
        await asyncio.gather(*(producer.close() for producer in producers))

    @property
    def generation(self) -> int:
        """The group's generation in which the tasks work; -1 while they do not."""
        return self._generation

    def working(self) -> frozenset[int]:
        """Partitions whose tasks work; during a rebalance and once fenced, a task does not."""
        return frozenset(partition for partition, task in self._running.items() if not task.done())

    def next_offsets(self) -> dict[int, int]:
        """Return the next offset of each task, by partition."""
        return {partition: task.next_offset for partition, task in self.tasks.items()}

    async def put(self, block: Block) -> None:
        """Hand `block` to its task; drop it while the tasks do not work."""
        # The generation in which the block was fetched does not matter: committed records stay the
        # same, and the task compares offsets.
        # While tasks do not work, nothing is queued. The agent would wait for a full queue, Faust's
        # fetcher for the agent, and recovery for the fetcher. Faust seeks to the tasks' offsets
        # after they have started, which fetches the block again.
        task = self.tasks.get(block.partition)
        if task is not None and self._generation >= 0 and not await task.put(block):
            self._on_gap(self, block.partition)

    async def _run(self, task: PartitionTask) -> None:
        try:
            await self._work(task)
        except asyncio.CancelledError:
            raise
        except FencedError:
            logger.info("%s of partition %d is fenced", self.name, task.partition)
            self._on_fenced()
        except BaseException as error:
            # A closed task may find its table gone. That is harmless: it commits nothing.
            if task in self.tasks.values():
                self._on_failure(error)
            else:
                logger.warning(
                    "%s of partition %d ended late: %r", self.name, task.partition, error
                )
