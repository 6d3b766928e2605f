"""Agent `flush`: each interval, the table's changed rows → Cassandra, as absolute counts.

    word_counts ──► rows changed since the last flush ──► INSERT … USING TIMESTAMP version

Writing a row twice, or late, does no harm: a row's version is its write time in Cassandra, and
grows with every checkpoint of its partition, so the newest count wins whoever writes last.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from app.cassandra.writer import Row, WriteRefusedError, WriteResult
from app.faultpoints import reached
from app.threads import in_thread
from tables.rows import PREFIX_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.cassandra.sink import CassandraSink
    from app.metrics import Metrics
    from tables.word_counts import Partition, WordCounts

__all__ = ["Flusher"]

logger = logging.getLogger(__name__)

Unflushed = dict[bytes, tuple[int, int]]


class Flusher:
    """Brings the table's unflushed rows to Cassandra; one flush at a time."""

    def __init__(self, table: WordCounts, sink: CassandraSink, metrics: Metrics) -> None:
        self._table = table
        self._sink = sink
        self._metrics = metrics
        self._one_at_a_time = asyncio.Lock()

    async def flush_counts(self, timeout_s: float | None = None) -> int:
        """Flush what has changed; the number of rows that Cassandra did not take.

        Those stay unflushed and go with the next interval's, or with the next owner's. Raises
        WriteRefusedError where trying again is no use.
        """
        async with self._one_at_a_time:
            return await self._flush(timeout_s)

    async def _flush(self, timeout_s: float | None) -> int:
        snapshots = [(own, own.version, own.take_unflushed()) for own in self._table.owned.values()]
        rows = await in_thread(
            lambda: [row for _, _, rows in snapshots for row in self._rows(rows)]
        )
        result = WriteResult(unwritten=rows)
        try:
            if rows:
                with self._metrics.flush_seconds.time():
                    reached("flush.taken")
                    result = await self._sink.write(rows, timeout_s=timeout_s)
                    reached("flush.written")
        except WriteRefusedError as error:
            result = error.result
            if not error.only_rows:
                raise
            # A word that no row can hold must not keep the others out: it stays in the table.
            self._metrics.rows_refused.inc(len(error.rows))
            logger.error("%s", error)
            refused = {id(row) for row in error.rows}
            result.unwritten = [row for row in result.unwritten if id(row) not in refused]
        finally:
            unwritten = {self._key(row) for row in result.unwritten}
            for own, version, taken in snapshots:
                self._settle(own, version, taken, unwritten)
        self._metrics.flushed(result)
        self._table.flushed()
        return len(unwritten)

    def _settle(
        self, own: Partition, version: int, taken: Unflushed, unwritten: set[bytes]
    ) -> None:
        missing = {key: taken[key] for key in unwritten & taken.keys()} if unwritten else {}
        if missing:
            own.put_back(missing)
        else:
            own.flushed = max(own.flushed, version)

    def _rows(self, unflushed: Mapping[bytes, tuple[int, int]]) -> list[Row]:
        start_of, end_of = self._table.ranges.start_of, self._table.ranges.end_of
        rows, prefix, start, end = [], b"", 0, None
        for key, (count, version) in unflushed.items():
            if key[:PREFIX_BYTES] != prefix:
                prefix = key[:PREFIX_BYTES]
                start = start_of(prefix)
                end = end_of(start)
            rows.append(Row(key[PREFIX_BYTES:].decode(), start, end, count, version))
        return rows

    def _key(self, row: Row) -> bytes:
        return self._table.ranges.key(row.window_start_ms, row.word.encode())
