"""Agent `count`: partial counts → the windowed table word_counts, checkpoint by checkpoint.

    partials[q] ──► sums per window and word ──► changelog[q], then RocksDB

One transaction carries the changed rows and the offset of partials[q]; RocksDB follows it.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from agents.pending import Pending
from app.kafka.transport import block_topic
from app.threads import in_thread

if TYPE_CHECKING:
    import faust
    from faust.types import StreamT

    from agents.checkpointing import Checkpointer
    from app.kafka.blocks import Block
    from app.kafka.stage import Stage
    from app.kafka.task import PartitionTask
    from app.metrics import Metrics

__all__ = ["Counter", "add_count"]

EXPIRY_SECONDS = 5.0
"""Time between two checks of an idle task for windows past retention."""


def add_count(app: faust.App, stage: Stage) -> None:
    """Register the agent; the tasks of `stage` run `Counter.count_partials`."""

    @app.agent(block_topic(app, stage.topic), name="count", concurrency=1)
    async def count(blocks: StreamT[Block]) -> None:
        """Add counts to the table word_counts, checkpoint by checkpoint; expire old windows."""
        async for block in blocks:
            await stage.put(block.taken())


class Counter:
    """The work of the stage `count` in each of its tasks."""

    def __init__(self, interval_ms: int, checkpointer: Checkpointer, metrics: Metrics) -> None:
        self._interval_ms = interval_ms
        self._checkpointer = checkpointer
        self._metrics = metrics

    async def count_partials(self, task: PartitionTask) -> None:
        """Gather partial counts; each checkpoint interval, add them to the table."""
        pending = self._nothing_pending()
        while (blocks := await task.take(min(pending.seconds_left, EXPIRY_SECONDS))) is not None:
            began = time.monotonic()
            if blocks:
                await in_thread(partial(pending.add, blocks))
                self._metrics.gathered(len(blocks))
            del blocks  # frees their memory for the next ones
            if pending.due:
                await self._checkpointer.checkpoint(task, pending)
                pending = self._nothing_pending()
            # Removing a row is cheaper than counting one. So expiry keeps up with counting if it
            # gets as much time as counting has just taken.
            await self._checkpointer.expire(task, min(time.monotonic() - began, EXPIRY_SECONDS))
        if pending.offset is not None:
            await self._checkpointer.checkpoint(task, pending)

    def _nothing_pending(self) -> Pending:
        return Pending(self._interval_ms, self._checkpointer.rows_per_task())
