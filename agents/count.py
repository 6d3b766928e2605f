"""Agent `count`: partial counts → the windowed table word_counts, checkpoint by checkpoint.

    partials[q] ──► sums per window and word ──► changelog[q], then RocksDB

One transaction carries the changed rows and the offset of partials[q]; RocksDB follows it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from functools import partial
from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from app.faultpoints import reached
from app.kafka.writer import Outgoing, Record
from app.partials import WindowCounts, unpack
from app.threads import in_thread
from tables.expiry import apply_removal, next_removal

if TYPE_CHECKING:
    from app.kafka.blocks import Block
    from app.kafka.stage import Lane
    from app.metrics import Metrics
    from app.settings import Settings
    from tables.word_counts import WordCounts

__all__ = ["Counter"]

logger = logging.getLogger(__name__)

EXPIRY_SECONDS = 5.0
"""How often an idle lane looks for windows past retention."""

PENDING_BYTES = 64 << 20
"""Partial counts that wait for a checkpoint: past this it comes before its time."""


class Counter:
    """The work of the stage `count` in each of its lanes."""

    def __init__(self, settings: Settings, table: WordCounts, metrics: Metrics) -> None:
        self._settings = settings
        self._table = table
        self._metrics = metrics

    async def count_partials(self, lane: Lane) -> None:
        """Gather partial counts; each checkpoint interval, add them to the table."""
        pending = _Pending()
        while True:
            blocks = await lane.take(pending.seconds_left(EXPIRY_SECONDS))
            if blocks:
                await in_thread(partial(pending.add, blocks))
                pending.start(self._settings.checkpoint_interval_ms / 1000)
            if pending.due() or (blocks is None and pending.offset is not None):
                await self._checkpoint(lane, pending)
                pending = _Pending()
            if blocks is None:
                return
            await self._expire(lane)

    async def _checkpoint(self, lane: Lane, pending: _Pending) -> None:
        with self._metrics.checkpoint_seconds.time():
            await self._table.room()
            change = await in_thread(
                partial(self._table.merge, lane.partition, pending.deltas, pending.sources)
            )
            changelog = TopicPartition(self._settings.changelog, lane.partition)
            rows = [Record(key, value) for key, value in change.puts]
            written = await lane.commit([Outgoing(changelog, rows)], pending.offset)
            reached("count.committed")
            await in_thread(partial(self._table.apply, lane.partition, change, written[changelog]))
            reached("count.applied")
        self._metrics.rows_changed.inc(change.size)
        if change.refused:
            self._metrics.expired_words.inc(change.refused)
            logger.warning(
                "%d words came for windows past WORDCOUNT_RETENTION and are not counted",
                change.refused,
            )

    async def _expire(self, lane: Lane) -> None:
        """Remove one step of what is past retention, if anything is."""
        removal = await in_thread(partial(next_removal, self._table, lane.partition))
        if removal is not None:
            changelog = TopicPartition(self._settings.changelog, lane.partition)
            rows = [Record(key, value) for key, value in removal.puts]
            written = await lane.commit([Outgoing(changelog, rows)], None)
            await in_thread(
                partial(apply_removal, self._table, lane.partition, removal, written[changelog])
            )


class _Pending:
    """Partial counts since the last checkpoint, and when the next one is due."""

    def __init__(self) -> None:
        self.deltas: list[WindowCounts] = []
        self.sources: dict[int, int] = {}
        self.offset: int | None = None
        self._bytes = 0
        self._deadline: float | None = None

    def add(self, blocks: list[Block]) -> None:
        for record in (record for block in blocks for record in block.records):
            counts = unpack(record.value)
            self.deltas.extend(counts.windows)
            known = self.sources.get(counts.source, counts.watermark)
            self.sources[counts.source] = max(known, counts.watermark)
            self._bytes += len(record.value)
        self.offset = blocks[-1].next

    def start(self, seconds: float) -> None:
        """Set the deadline, `seconds` after the first partial counts, once there are some."""
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + seconds

    def seconds_left(self, otherwise: float = math.inf) -> float:
        """Seconds until the checkpoint is due; `otherwise` while nothing is pending."""
        if self._deadline is None:
            return otherwise
        return max(0.0, self._deadline - asyncio.get_running_loop().time())

    def due(self) -> bool:
        return self._bytes > PENDING_BYTES or self.seconds_left() == 0.0
