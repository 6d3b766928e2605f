"""Writes batches of the table's changed rows to Cassandra, with the top words of their windows."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from functools import partial
from typing import TYPE_CHECKING

from agents.cassandra_rows import count_rows, top_rows
from app.cassandra.outage import WriteOutage
from app.cassandra.results import WriteRefusedError, WriteResult
from app.cassandra.top import TopRow
from app.threads import in_thread
from tables.flush_batch import FlushBatch

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from app.cassandra.rows import Row
    from app.cassandra.sink import CassandraSink
    from app.metrics import Metrics
    from tables.word_counts import WordCounts

__all__ = ["Flusher"]

logger = logging.getLogger(__name__)


class Flusher:
    """Writes the table's dirty rows to Cassandra; one flush at a time."""

    def __init__(
        self, table: WordCounts, sink: CassandraSink, metrics: Metrics, top_words: int = 0
    ) -> None:
        self._table = table
        self._top_words = top_words
        self._sink = sink
        self._metrics = metrics
        self._one_at_a_time = asyncio.Lock()
        self._outage = WriteOutage()
        self._last = False

    async def flush_counts(self, timeout_seconds: float | None = None) -> int:
        """Flush the dirty rows, batch by batch; return the number of rows that are still dirty.

        Cassandra did not take those: the next flush, or the next owner, writes them. A flush with a
        time limit is the last one. Raises WriteRefusedError where a retry is no use.
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        # Before the lock: a flush that holds it sees this and ends after its batch.
        self._last = deadline is not None
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._one_at_a_time.acquire()
        except TimeoutError:
            return self._table.dirty_count()
        try:
            return await self._flush_all(deadline)
        finally:
            self._one_at_a_time.release()

    async def _flush_all(self, deadline: float | None) -> int:
        while True:
            seconds_left = None if deadline is None else max(0.0, deadline - time.monotonic())
            batch = FlushBatch(self._table)
            failed = await self._flush_batch(batch, seconds_left)
            waiting = self._table.dirty_count()
            # The last flush continues until nothing is dirty. A flush that is under way when the
            # last one is requested ends after its batch, to make room for it.
            left = batch.more
            again = (left and not self._last) if deadline is None else (left or waiting > 0)
            if failed or not again:
                return waiting

    async def _flush_batch(self, batch: FlushBatch, timeout_seconds: float | None) -> bool:
        """Write a batch; return whether Cassandra did not take some of it."""
        unwritten = None  # an error leaves all rows of the batch dirty
        try:
            unwritten = await self._write(batch, timeout_seconds)
        finally:
            self._acknowledge(batch, unwritten)
            self._table.row_quota.recheck()
        return bool(unwritten)

    async def _write(self, batch: FlushBatch, timeout_seconds: float | None) -> list[Row | TopRow]:
        """Upsert the rows of `batch`; return those that Cassandra may take later."""
        ends = math.inf if timeout_seconds is None else time.monotonic() + timeout_seconds
        rows = await in_thread(lambda: count_rows(batch.take(), self._table.windows))
        if not rows:
            return []
        with self._metrics.flush_seconds.time():
            result = await self._done(self._sink.write(rows, timeout_seconds=timeout_seconds))
            faults = result.faults
            unwritten: list[Row | TopRow] = list(result.unwritten)
            if self._top_words and (result.rows or not unwritten):
                ranked = await in_thread(partial(self._top_rows, batch))
                left = None if timeout_seconds is None else max(0.0, ends - time.monotonic())
                top = await self._done(self._sink.write_top(ranked, timeout_seconds=left))
                self._metrics.top_flushed(top)
                unwritten += top.unwritten
                faults = {**top.faults, **faults}
        self._metrics.flushed(result, complete=not unwritten)
        self._outage.flushed(len(unwritten), faults)
        return unwritten

    def _top_rows(self, batch: FlushBatch) -> list[TopRow]:
        n = self._top_words
        return top_rows(batch.top_lists(n), n, self._table.windows)

    @staticmethod
    def _acknowledge(batch: FlushBatch, unwritten: list[Row | TopRow] | None) -> None:
        """Mark the batch as flushed, but for unwritten rows; None: the flush broke off."""
        if unwritten is None:
            batch.put_back()
            return
        ranks = [row for row in unwritten if isinstance(row, TopRow)]
        batch.acknowledge(
            [(row.window_start_ms, row.word) for row in unwritten if not isinstance(row, TopRow)],
            {(row.partition, row.window_start_ms) for row in ranks},
        )

    async def _done(self, write: Awaitable[WriteResult]) -> WriteResult:
        try:
            return await write
        except WriteRefusedError as error:
            if not error.only_rows:
                raise
            return self._without_refused(error)

    def _without_refused(self, error: WriteRefusedError) -> WriteResult:
        """Drop rows whose words no row can hold, so that the others are acknowledged."""
        logger.error("%s", error)
        self._metrics.rows_refused.inc(len(error.rows))
        refused = {id(row) for row in error.rows}
        unwritten = [row for row in error.result.unwritten if id(row) not in refused]
        error.result.unwritten = unwritten
        return error.result
