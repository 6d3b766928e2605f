"""Every row that this worker owns, once more to Cassandra: for a table there that has lost rows.

A row's version is its write time, so writing an old row again never hides a newer count of it, and
counting and flushing go on meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from rocksdict import DbClosedError

from app.cassandra.results import WriteRefusedError, WriteResult
from app.cassandra.rows import Row
from app.threads import in_thread
from tables import rows
from tables.unflushed import ranks_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.cassandra.sink import CassandraSink
    from tables.partition import Partition
    from tables.word_counts import WordCounts

__all__ = ["Resaver"]

logger = logging.getLogger(__name__)

STEP_ROWS = 20_000
"""Most rows that are held in memory at once."""

PAUSE_S = 1.0
"""Wait before rows are tried again that Cassandra did not take."""


class Resaver:
    """Saves each partition once, whenever this worker comes to own it."""

    def __init__(self, table: WordCounts, sink: CassandraSink, top_words: int = 0) -> None:
        self._table = table
        self._sink = sink
        self._top_words = top_words
        self._saved: set[int] = set()

    async def save_owned(self) -> None:
        """Save the partitions that are owned and have not been saved yet.

        Raises WriteRefusedError where trying again is no use.
        """
        for partition, own in list(self._table.owned.items()):
            if partition not in self._saved:
                count = 0
                for start in sorted(own.windows):
                    count += await self._save_window(partition, own, start)
                if self._owns(partition, own):
                    self._saved.add(partition)
                    logger.info("partition %d: %d rows saved again", partition, count)

    async def _save_window(self, partition: int, own: Partition, start: int) -> int:
        ranges = self._table.ranges
        low, high = ranges.prefix(start) + b"\0", ranges.prefix(start + 1)
        count = 0
        while self._owns(partition, own):
            found = await self._read(own, partition, partial(self._step, partition, low, high))
            if not found:
                break
            end = ranges.end_of(start)
            await self._write(
                self._sink.write,
                [
                    Row(key[rows.PREFIX_BYTES :].decode(), start, end, *rows.decode_row(value))
                    for key, value in found
                ],
            )
            count += len(found)
            low = found[-1][0] + b"\0"
        if count and self._top_words and self._owns(partition, own):
            ranks = await self._read(
                own, partition, partial(ranks_of, self._table, partition, start, self._top_words)
            )
            await self._write(self._sink.write_top, ranks)
        return count

    def _step(self, partition: int, low: bytes, high: bytes) -> list[tuple[bytes, bytes]]:
        return list(islice(self._table.store.scan(partition, low, high), STEP_ROWS))

    async def _read(
        self, own: Partition, partition: int, read: Callable[[], list[Any]]
    ) -> list[Any]:
        """What `read` reads in a thread; nothing once the partition has gone to another worker."""
        try:
            return await in_thread(read)
        except DbClosedError:
            if self._owns(partition, own):
                raise
            return []

    async def _write(
        self, write: Callable[[list[Any]], Awaitable[WriteResult]], left: list[Any]
    ) -> None:
        while left:
            try:
                left = (await write(left)).unwritten
            except WriteRefusedError as error:
                if not error.only_rows:
                    raise
                logger.error("%s", error)
                refused = {id(row) for row in error.rows}
                left = [row for row in error.result.unwritten if id(row) not in refused]
            if left:
                await asyncio.sleep(PAUSE_S)

    def _owns(self, partition: int, own: Partition) -> bool:
        return self._table.owned.get(partition) is own
