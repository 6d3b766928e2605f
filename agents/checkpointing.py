"""Commits changes of the table word_counts: checkpoints of counts, and expired windows."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from agents.kafka_records import changelog_records
from app.threads import in_thread
from tables.expiry import apply_removal, next_removal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents.pending import Pending
    from app.kafka.task import PartitionTask
    from app.metrics import Metrics
    from tables.rows import Put
    from tables.word_counts import WordCounts

__all__ = ["Checkpointer"]


class Checkpointer:
    """Changes a partition of the table: first the changelog by a transaction, then RocksDB."""

    def __init__(self, table: WordCounts, changelog: str, metrics: Metrics) -> None:
        self._table = table
        self._changelog = changelog
        self._metrics = metrics

    async def checkpoint(self, task: PartitionTask, pending: Pending) -> None:
        """Add pending counts to the table, and commit them with the offset that they reach.

        Waits while too many rows wait for Cassandra.
        """
        # Reserve before any work. While Cassandra is behind, the task waits here, its queue fills
        # up, and fetching of partial counts stops.
        async with self._table.row_quota.reserve(pending.rows):
            with self._metrics.checkpoint_seconds.time():
                added = (pending.deltas, pending.watermarks, pending.active_sources)
                change = await in_thread(partial(self._table.merge, task.partition, *added))
                end = await self._commit(task, change.puts, pending.offset)
                # Only after the commit: another worker may count again what is not committed.
                await in_thread(partial(self._table.apply, task.partition, change, end))
        self._metrics.checkpointed(change.size, change.refused)

    async def expire(self, task: PartitionTask, seconds: float) -> None:
        """Remove one step of windows past retention; continue for `seconds` if more are left."""
        ends = time.monotonic() + seconds
        find = partial(next_removal, self._table, task.partition)
        while (removal := await in_thread(find)) is not None:
            end = await self._commit(task, removal.puts, None)
            await in_thread(partial(apply_removal, self._table, task.partition, removal, end))
            if time.monotonic() >= ends:
                break

    def rows_per_task(self) -> int:
        """Return how many rows of ordinary length a task may gather before a checkpoint."""
        return self._table.memory_budget.checkpoint_rows // max(1, len(self._table.owned))

    async def _commit(self, task: PartitionTask, puts: Iterable[Put], offset: int | None) -> int:
        """Write rows to the changelog with the offset of partials; return the last row's offset."""
        changelog = TopicPartition(self._changelog, task.partition)
        # The store keeps this offset beside the rows: recovery continues behind it.
        return (await task.commit(changelog_records(changelog, puts), offset))[changelog]
