"""Writes every row of owned partitions to Cassandra again, for a table there that has lost rows.

A row's version is its write time. So an old row that is written again never hides a newer count of
it, and counting and flushing continue meanwhile.

Old rows are written beside the flush, a step at a time. The alternative is to load a partition as
if nothing had been flushed, and to leave the rest to the flush. But passes go one after the other.
Every changed row would wait until all old rows are written. The waiting rows would fill their share
of memory, and counting would stop for as long. Expiry would stop too, since it keeps the rows that
Cassandra lacks.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from rocksdict import DbClosedError

from agents.cassandra_rows import count_rows, top_rows
from app.cassandra.results import WriteRefusedError, WriteResult
from app.threads import in_thread
from tables.flush_batch import changed_counts, top_list
from tables.rows import decode_row

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.cassandra.rows import Row
    from app.cassandra.sink import CassandraSink
    from tables.partition import PartitionState
    from tables.word_counts import WordCounts

__all__ = ["Resaver"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

STEP_ROWS = 20_000
"""Maximum number of rows that are held in memory at once."""

PAUSE_SECONDS = 1.0
"""Wait before the next attempt for rows that Cassandra did not acknowledge."""


class Resaver:
    """Saves each partition once, whenever this worker comes to own it."""

    def __init__(self, table: WordCounts, sink: CassandraSink, top_words: int = 0) -> None:
        self._table = table
        self._sink = sink
        self._top_words = top_words
        self._saved: set[int] = set()

    async def save_owned(self) -> None:
        """Save the owned partitions that have not been saved yet.

        Raises WriteRefusedError where a retry is no use.
        """
        for partition, state in list(self._table.owned.items()):
            if partition not in self._saved:
                count = 0
                for start in sorted(state.totals):
                    count += await self._save_window(partition, state, start)
                if self._owns(partition, state):
                    self._saved.add(partition)
                    logger.info("partition %d: %d rows saved again", partition, count)

    async def _save_window(self, partition: int, state: PartitionState, start: int) -> int:
        # Counting changes the table meanwhile, and a rebalance may close it. So no iterator stays
        # open: each step begins behind the last key, and checks that the partition is still owned.
        after = b""
        count = 0
        while self._owns(partition, state):
            step = partial(self._step, partition, start, after)
            found = await self._read(partition, state, step)
            if not found:
                break
            rows, after = found
            count += len(rows)
            await self._write(self._sink.write, rows)
        if count and self._top_words and self._owns(partition, state):
            read = partial(top_list, self._table, partition, start, self._top_words)
            if (of_window := await self._read(partition, state, read)) is not None:
                ranks = top_rows([of_window], self._top_words, self._table.windows)
                await self._write(self._sink.write_top, ranks)
        return count

    def _step(self, partition: int, start: int, after: bytes) -> tuple[list[Row], bytes] | None:
        """Read rows after a key; returns them and the last one's key, None where no more are."""
        found = {
            key: decode_row(value)
            for key, value in islice(self._table.rows_of(partition, start, after), STEP_ROWS)
        }
        if not found:
            return None
        windows = self._table.windows
        # A dict keeps the order of the scan, so its last key is where the next step begins.
        return count_rows(changed_counts(windows, found), windows), next(reversed(found))

    async def _read(self, partition: int, state: PartitionState, read: Callable[[], T]) -> T | None:
        """Read in a thread; returns None once the partition has gone to another worker."""
        try:
            return await in_thread(read)
        except DbClosedError:
            if self._owns(partition, state):
                raise
            return None

    async def _write(
        self, write: Callable[[list[Any]], Awaitable[WriteResult]], rows: list[Any]
    ) -> None:
        # Each round keeps the rows that Cassandra may acknowledge later, and drops refused rows. A
        # refusal of the whole table ends the loop with the error.
        while rows:
            try:
                rows = (await write(rows)).unwritten
            except WriteRefusedError as error:
                if not error.only_rows:
                    raise
                logger.error("%s", error)
                refused = {id(row) for row in error.rows}
                rows = [row for row in error.result.unwritten if id(row) not in refused]
            if rows:
                await asyncio.sleep(PAUSE_SECONDS)

    def _owns(self, partition: int, state: PartitionState) -> bool:
        return self._table.owned.get(partition) is state
