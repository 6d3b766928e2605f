"""Agent `count`: partial counts → the windowed table word_counts, checkpoint by checkpoint.

    partials[q] ──► sums per window and word ──► changelog[q], then RocksDB

One transaction carries the changed rows and the offset of partials[q]; RocksDB follows it.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from agents.pending import Pending
from app.faultpoints import reached
from app.kafka.producer import PartitionRecords, Record
from app.threads import in_thread
from tables.expiry import apply_removal, next_removal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.kafka.stage import PartitionTask
    from app.metrics import Metrics
    from app.settings import Settings
    from tables.rows import Put
    from tables.word_counts import WordCounts

__all__ = ["Counter"]

EXPIRY_SECONDS = 5.0
"""How often an idle task looks for windows past retention; the longest that a busy one removes."""


class Counter:
    """The work of the stage `count` in each of its tasks."""

    def __init__(self, settings: Settings, table: WordCounts, metrics: Metrics) -> None:
        self._settings = settings
        self._table = table
        self._metrics = metrics

    async def count_partials(self, task: PartitionTask) -> None:
        """Gather partial counts; each checkpoint interval, add them to the table."""
        pending = self._nothing_pending()
        while (blocks := await task.take(min(pending.seconds_left, EXPIRY_SECONDS))) is not None:
            began = time.monotonic()
            if blocks:
                await in_thread(partial(pending.add, blocks))
                self._metrics.gathered(len(blocks))
            del blocks  # their memory is for those that come next
            if pending.due:
                await self._checkpoint(task, pending)
                pending = self._nothing_pending()
            await self._expire(task, time.monotonic() - began)
        if pending.offset is not None:
            await self._checkpoint(task, pending)

    async def _checkpoint(self, task: PartitionTask, pending: Pending) -> None:
        async with self._table.row_quota.reserve(pending.rows):
            with self._metrics.checkpoint_seconds.time():
                added = (pending.deltas, pending.watermarks, pending.active_sources)
                change = await in_thread(partial(self._table.merge, task.partition, *added))
                end = await self._commit(task, change.puts, pending.offset)
                reached("count.committed")
                await in_thread(partial(self._table.apply, task.partition, change, end))
                reached("count.applied")
        self._metrics.checkpointed(change.size, change.refused)

    async def _expire(self, task: PartitionTask, seconds: float) -> None:
        """Remove a step of what is past retention; while there is more, go on for `seconds`.

        A row is removed in less time than it is counted. So with as much time as counting has just
        taken expiry keeps up with it, and takes no more than that.
        """
        ends = time.monotonic() + min(seconds, EXPIRY_SECONDS)
        find = partial(next_removal, self._table, task.partition)
        while (removal := await in_thread(find)) is not None:
            end = await self._commit(task, removal.puts, None)
            await in_thread(partial(apply_removal, self._table, task.partition, removal, end))
            if time.monotonic() >= ends:
                break

    async def _commit(self, task: PartitionTask, puts: Iterable[Put], offset: int | None) -> int:
        """Write rows to the changelog, with the offset of partials; where the changelog ends."""
        changelog = TopicPartition(self._settings.changelog, task.partition)
        rows = [Record(key, value) for key, value in puts]
        return (await task.commit([PartitionRecords(changelog, rows)], offset))[changelog]

    def _nothing_pending(self) -> Pending:
        rows = self._table.memory_budget.checkpoint_rows // max(1, len(self._table.owned))
        return Pending(self._settings.checkpoint_interval_ms, rows)
