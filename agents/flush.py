"""Agent `flush`: each interval, the table's changed rows → Cassandra, as absolute counts.

    word_counts ──► rows changed since the last flush ──► INSERT … USING TIMESTAMP version
                └─► top words of their windows, if asked for ──► the same

Writing a row twice, or late, does no harm: a row's version is its write time in Cassandra, and
grows with every checkpoint of its partition, so the newest count wins whoever writes last.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from functools import partial
from typing import TYPE_CHECKING

from app.cassandra.results import WriteRefusedError, WriteResult
from app.faultpoints import reached
from app.threads import in_thread
from tables.unflushed import Snapshot

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from app.cassandra.rows import Row
    from app.cassandra.sink import CassandraSink
    from app.cassandra.top import TopRow
    from app.metrics import Metrics
    from tables.word_counts import WordCounts

__all__ = ["Flusher"]

logger = logging.getLogger(__name__)


class Flusher:
    """Brings the table's unflushed rows to Cassandra; one flush at a time."""

    def __init__(
        self, table: WordCounts, sink: CassandraSink, metrics: Metrics, top_words: int = 0
    ) -> None:
        self._table = table
        self._top_words = top_words
        self._sink = sink
        self._metrics = metrics
        self._one_at_a_time = asyncio.Lock()
        self._behind = False

    async def flush_counts(self, timeout_s: float | None = None) -> int:
        """Flush what has changed; the number of rows that Cassandra did not take.

        Those stay unflushed and go with the next interval's, or with the next owner's. Raises
        WriteRefusedError where trying again is no use.
        """
        async with self._one_at_a_time:
            snapshot = Snapshot(self._table)
            unwritten = None  # whatever breaks off a flush, its rows are flushed again
            try:
                unwritten = await self._write(snapshot, timeout_s)
            finally:
                snapshot.settle(unwritten)
                self._table.flushed()
        return len(unwritten)

    async def _write(self, snapshot: Snapshot, timeout_s: float | None) -> list[Row | TopRow]:
        """Upsert the rows of `snapshot`; those that Cassandra did not take but may take later."""
        ends = math.inf if timeout_s is None else time.monotonic() + timeout_s
        rows = await in_thread(snapshot.rows)
        if not rows:
            return []
        with self._metrics.flush_seconds.time():
            reached("flush.taken")
            result = await self._done(self._sink.write(rows, timeout_s=timeout_s))
            fault = result.last_fault
            unwritten: list[Row | TopRow] = list(result.unwritten)
            if self._top_words and (result.rows or not unwritten):
                top_rows = await in_thread(partial(snapshot.top_rows, self._top_words))
                left_s = None if timeout_s is None else max(0.0, ends - time.monotonic())
                top = await self._done(self._sink.write_top(top_rows, timeout_s=left_s))
                self._metrics.top_flushed(top)
                unwritten += top.unwritten
                fault = fault or top.last_fault
            reached("flush.written")
        self._metrics.flushed(result, complete=not unwritten)
        self._say(len(unwritten), fault)
        return unwritten

    def _say(self, unwritten: int, fault: str | None) -> None:
        """One line when Cassandra stops taking rows, one when it has all of them again."""
        if bool(unwritten) == self._behind:
            return
        self._behind = bool(unwritten)
        if unwritten:
            logger.warning(
                "Cassandra has not taken %d rows (%s); they go with the next flush",
                unwritten,
                fault or "no time left",
            )
        else:
            logger.info("Cassandra has taken all rows again")

    async def _done(self, write: Awaitable[WriteResult]) -> WriteResult:
        try:
            return await write
        except WriteRefusedError as error:
            if not error.only_rows:
                raise
            return self._without_refused(error)

    def _without_refused(self, error: WriteRefusedError) -> WriteResult:
        """A word that no row can hold must not keep the others out: it stays in the table."""
        logger.error("%s", error)
        self._metrics.rows_refused.inc(len(error.rows))
        refused = {id(row) for row in error.rows}
        unwritten = [row for row in error.result.unwritten if id(row) not in refused]
        error.result.unwritten = unwritten
        return error.result
