"""Agent `flush`: each interval, the table's changed rows → Cassandra, as absolute counts.

    word_counts ──► rows changed since the last flush ──► INSERT … USING TIMESTAMP version

Writing a row twice, or late, does no harm: a row's version is its write time in Cassandra, and
grows with every checkpoint of its partition, so the newest count wins whoever writes last.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from app.cassandra.results import WriteRefusedError, WriteResult
from app.faultpoints import reached
from app.threads import in_thread
from tables.unflushed import Snapshot

if TYPE_CHECKING:
    from app.cassandra.rows import Row
    from app.cassandra.sink import CassandraSink
    from app.metrics import Metrics
    from tables.word_counts import WordCounts

__all__ = ["Flusher"]

logger = logging.getLogger(__name__)


class Flusher:
    """Brings the table's unflushed rows to Cassandra; one flush at a time."""

    def __init__(self, table: WordCounts, sink: CassandraSink, metrics: Metrics) -> None:
        self._table = table
        self._sink = sink
        self._metrics = metrics
        self._one_at_a_time = asyncio.Lock()
        self._last = False

    async def flush_counts(self, timeout_s: float | None = None) -> int:
        """Flush what has changed, slice by slice; the number of rows that Cassandra did not take.

        Those stay unflushed and go with the next interval's, or with the next owner's. Raises
        WriteRefusedError where trying again is no use.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._last = deadline is not None
        async with self._one_at_a_time:
            while True:
                left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
                snapshot = Snapshot(self._table)
                failed = await self._flush_slice(snapshot, left_s)
                waiting = self._table.waiting()
                # With a time limit it is the last flush. One that is under way makes room for it; a
                # pass after this one follows at once.
                if deadline is None:
                    again = snapshot.more and not self._last
                else:
                    again = snapshot.more or waiting > 0
                if failed or not again:
                    return waiting

    async def _flush_slice(self, snapshot: Snapshot, timeout_s: float | None) -> bool:
        """Bring a slice to Cassandra; whether some of it was not taken."""
        unwritten = None  # whatever breaks off a flush, its rows are flushed again
        try:
            rows = await in_thread(snapshot.rows)
            unwritten = await self._write(rows, timeout_s) if rows else []
        finally:
            snapshot.settle(unwritten)
            self._table.flushed()
        return bool(unwritten)

    async def _write(self, rows: list[Row], timeout_s: float | None) -> list[Row]:
        """Upsert `rows`; those that Cassandra did not take but may take later."""
        try:
            with self._metrics.flush_seconds.time():
                reached("flush.taken")
                result = await self._sink.write(rows, timeout_s=timeout_s)
                reached("flush.written")
        except WriteRefusedError as error:
            if not error.only_rows:
                raise
            result = self._without_refused(error)
        self._metrics.flushed(result)
        return result.unwritten

    def _without_refused(self, error: WriteRefusedError) -> WriteResult:
        """A word that no row can hold must not keep the others out: it stays in the table."""
        logger.error("%s", error)
        self._metrics.rows_refused.inc(len(error.rows))
        refused = {id(row) for row in error.rows}
        unwritten = [row for row in error.result.unwritten if id(row) not in refused]
        error.result.unwritten = unwritten
        return error.result
