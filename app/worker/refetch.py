"""Fetches blocks again that did not come: after a gap, or where a partition stays idle."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiokafka.errors import IllegalStateError, KafkaError
from faust.types import TP

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.kafka.offset_ranges import ConsumerOwner, OffsetRanges
    from app.kafka.stage import Stage
    from app.kafka.task import PartitionTask

__all__ = ["IdleCheck", "Refetch"]

logger = logging.getLogger(__name__)

RESEEK_SECONDS = 1.0
"""Time between two seeks of one partition, until the missing block has come."""


class Refetch:
    """Seeks a partition back to its task's next offset until blocks come from there."""

    def __init__(
        self,
        owner: ConsumerOwner,
        offset_ranges: OffsetRanges,
        fail: Callable[[BaseException], None],
    ) -> None:
        self._owner = owner
        self._offset_ranges = offset_ranges
        self._fail = fail
        self._running: dict[TP, asyncio.Task[None]] = {}

    def fetch_again(self, stage: Stage, partition: int) -> None:
        """Fetch from the next offset of a task: a block before the last one has not come."""
        tp = TP(stage.topic, partition)
        if tp not in self._running:
            task = self._running[tp] = asyncio.create_task(self._seek_until_it_comes(stage, tp))
            task.add_done_callback(lambda _: self._running.pop(tp, None))

    async def _seek_until_it_comes(self, stage: Stage, tp: TP) -> None:
        task, missing = stage.tasks.get(tp.partition), True
        # Repeat the seek: the blocks that it fetches may get lost as well.
        while missing and task is not None and stage.tasks.get(tp.partition) is task:
            missing = await self._seek(stage, task, tp)
            next_offset = task.next_offset
            await asyncio.sleep(RESEEK_SECONDS)
            # If the next offset has moved, the missing block has come.
            missing = missing and task.next_offset == next_offset

    async def _seek(self, stage: Stage, task: PartitionTask, tp: TP) -> bool:
        """Seek to the next offset of a task; return whether Kafka has records from there on."""
        try:
            offsets = (await self._offset_ranges.read(tp))[tp]
            stage.reset(tp.partition, offsets)
            if stage.tasks.get(tp.partition) is task and task.next_offset < offsets.log_end:
                await self._owner.consumer.seek(tp, task.next_offset)
        except (IllegalStateError, KafkaError) as error:
            # Either a rebalance has taken the partition, and the next assignment seeks. Or Kafka
            # is away, and the next round retries.
            logger.debug("fetching %s again: %r", tp, error)
            return True
        except Exception as error:
            self._fail(error)
            return False
        return task.next_offset < offsets.log_end


class IdleCheck:
    """Compares idle tasks with the ends of their partitions.

    A record that Kafka has deleted brings no block, so no gap shows that it is missing.
    """

    def __init__(
        self, stages: Sequence[Stage], offset_ranges: OffsetRanges, refetch: Refetch
    ) -> None:
        self._stages = stages
        self._offset_ranges = offset_ranges
        self._refetch = refetch
        self._idle: dict[TP, tuple[Stage, PartitionTask, int]] = {}

    async def check(self) -> None:
        """Fetch again where nothing has come since the last check though Kafka holds records."""
        before, self._idle = self._idle, self._idle_tasks()
        # Idle is a task that two checks in a row find at the same offset with nothing uncommitted.
        idle = {tp: task for tp, task in self._idle.items() if before.get(tp) == task}
        try:
            ranges = await self._offset_ranges.read(*idle)
        except (IllegalStateError, KafkaError) as error:
            logger.debug("checking idle partitions: %r", error)
            return
        for tp, (stage, _, next_offset) in idle.items():
            if next_offset < ranges[tp].log_end:
                self._refetch.fetch_again(stage, tp.partition)

    def _idle_tasks(self) -> dict[TP, tuple[Stage, PartitionTask, int]]:
        """Return the tasks that work and hold nothing, with their next offsets."""
        return {
            TP(stage.topic, partition): (stage, task, task.next_offset)
            for stage in self._stages
            if stage.generation >= 0
            for partition, task in stage.tasks.items()
            if task.committed[0] >= task.next_offset
        }
