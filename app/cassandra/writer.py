"""Upserts absolute counts in batches: bounded, retried, and never claimed when not acknowledged."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from cassandra import Unauthorized
from cassandra.protocol import ServerError

from app.cassandra.batching import Batcher
from app.cassandra.columns import CodecError
from app.cassandra.faults import DRIVER_ERRORS, backoff_s, describe, is_passing, kind
from app.cassandra.replicas import replica_groups
from app.cassandra.requests import Item, request
from app.cassandra.results import WriteRefusedError, WriteResult
from app.cassandra.rows import Row, RowEncoder, identity
from app.cassandra.schema import TableShape, check
from app.cassandra.session import REQUEST_TIMEOUT_S, CassandraSession, completion
from app.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from app.settings import Settings

__all__ = ["CassandraWriter", "Row", "WriteRefusedError", "WriteResult"]

logger = logging.getLogger(__name__)

_BREATH_ROWS = 500
"""Rows worked on before the event loop gets its turn: about 2 ms."""


_MOST_REFUSED = 20
"""Refused rows after which a write stops: something else than single rows must be wrong."""


class CassandraWriter:
    """Writes rows to the table of the settings; made by `create`."""

    def __init__(
        self, session: CassandraSession, settings: Settings, shape: TableShape, prepared: Any
    ) -> None:
        self.session = session
        self.settings = settings
        self.shape = shape
        self.encoder = RowEncoder(settings, shape)
        self.prepared = prepared
        self._free_at = 0.0

    @classmethod
    async def create(cls, session: CassandraSession, settings: Settings) -> CassandraWriter:
        """Check the table and prepare the INSERT.

        Raises ConfigurationError when the table does not fit, UnavailableError when Cassandra can't
        be asked.
        """
        shape = await check(session, settings)
        try:
            prepared = await session.prepare(RowEncoder(settings, shape).cql)
        except DRIVER_ERRORS as error:
            if is_passing(error):
                raise UnavailableError(
                    f"Cassandra can't prepare writes now: {describe(error)}; try again"
                ) from None
            raise WriteRefusedError(
                f"Cassandra refuses writes to {shape.name}: {describe(error)}", WriteResult()
            ) from None
        return cls(session, settings, shape, prepared)

    async def write(self, rows: Sequence[Row], *, timeout_s: float | None = None) -> WriteResult:
        """Upsert `rows`; the result says which of them Cassandra did not acknowledge.

        Of rows of the same word and window only the newest is written. Passing faults are tried
        again as the settings say; when nothing gets through any more, or `timeout_s` seconds are
        over, the rest comes back as `unwritten`. Raises WriteRefusedError for what will never be
        written, after writing what can be.
        """
        return await _Write(self, rows, timeout_s).run()

    def turn_s(self, rows: int) -> float:
        """Seconds until `rows` more rows may be sent; counts them as sent."""
        rate = self.settings.output_throughput
        if rate is None:
            return 0.0
        now = time.monotonic()
        turn = max(now, self._free_at)
        self._free_at = turn + rows / rate
        return turn - now


class _Write:
    """One call of `write`: its progress, and what it has learnt about the state of Cassandra."""

    def __init__(
        self, writer: CassandraWriter, rows: Sequence[Row], timeout_s: float | None
    ) -> None:
        self.writer = writer
        self.settings = writer.settings
        self.rows = rows
        self.result = WriteResult()
        self.started = time.monotonic()
        self.deadline = None if timeout_s is None else self.started + timeout_s
        self.todo: dict[tuple[Any, ...], Row] = {}
        self.refused: list[tuple[Row, str]] = []
        self.failing = 0  # batches given up since a request last succeeded
        self.stopped = False
        self.fatal: str | None = None
        self.checked = False

    async def run(self) -> WriteResult:
        await self._keep_newest()
        batches = self._batches()
        concurrency = min(self.settings.output_concurrent_writes, max(1, len(self.todo)))
        workers = [asyncio.ensure_future(self._work(batches)) for _ in range(concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        self.result.unwritten = list(self.todo.values())
        self.result.elapsed_s = time.monotonic() - self.started
        if self.fatal is not None or self.refused:
            raise self._refusal()
        return self.result

    async def _keep_newest(self) -> None:
        todo = self.todo
        for number, row in enumerate(self.rows, 1):
            key = identity(row)
            other = todo.setdefault(key, row)
            if other is not row:
                self.result.superseded += 1
                if row.timestamp_us >= other.timestamp_us:
                    todo[key] = row
            if number % (10 * _BREATH_ROWS) == 0:
                await asyncio.sleep(0)

    def _batches(self) -> Iterator[list[Item] | None]:
        """Batches in the order in which they fill; None now and then, to let others have a turn."""
        settings, encoder = self.settings, self.writer.encoder
        batcher: Batcher[Item] = Batcher(
            max_rows=1 if settings.output_if_not_exists else settings.output_batch_rows,
            max_bytes=settings.output_batch_bytes,
            max_open=settings.output_batch_grouping_buffer,
        )
        group_of = self._grouping()
        now_ms = int(time.time() * 1000)
        for number, row in enumerate(list(self.todo.values()), 1):
            if number % _BREATH_ROWS == 0:
                now_ms = int(time.time() * 1000)
                yield None
            try:
                values = encoder.encode(row, now_ms)
            except CodecError as error:
                self.refused.append((row, str(error)))
                continue
            routing_key, size = encoder.routing_key(values), encoder.size(values)
            item = Item(row, values, routing_key, size)
            batch = batcher.add(group_of(routing_key), item, size)
            if batch is not None:
                yield batch.items
        for batch in batcher.drain():
            yield batch.items

    def _grouping(self) -> Callable[[bytes], Any]:
        key = self.settings.output_batch_grouping_key
        if key == "partition":
            return bytes
        by_replicas = None
        if key == "replica_set":
            by_replicas = replica_groups(self.writer.session, self.settings.keyspace)
        return by_replicas or (lambda _: 0)

    async def _work(self, batches: Iterator[list[Item] | None]) -> None:
        for items in batches:
            if self.stopped:
                return
            if items is None:
                await asyncio.sleep(0)
            else:
                await self._pause(self.writer.turn_s(len(items)))
                await self._send(items)

    async def _pause(self, seconds: float) -> None:
        left_s = self._left_s()
        if seconds > 0 and left_s > 0:
            self.result.waiting_s += min(seconds, left_s)
            await asyncio.sleep(min(seconds, left_s))

    def _left_s(self) -> float:
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()

    async def _send(self, items: list[Item]) -> None:
        """Write `items`, trying again while it may help; what is not acknowledged stays to do."""
        statement = request(self.writer.prepared, self.settings.keyspace, items)
        retries = 0
        while not self.stopped:
            left_s = self._left_s()
            if left_s <= 0:
                self.stopped = True
                return
            began = time.monotonic()
            try:
                response = self.writer.session.driver.execute_async(
                    statement, timeout=min(REQUEST_TIMEOUT_S, left_s)
                )
                answer = await completion(response)
            except DRIVER_ERRORS as error:
                self.result.failures[kind(error)] += 1
                self.result.last_fault = describe(error)
                if is_passing(error):
                    retries += 1
                    if retries > (0 if self.failing else self.settings.output_retries):
                        await self._give_up(error)
                        return
                    self.result.retries += 1
                    await self._pause(backoff_s(retries))
                    continue
                await self._find_refused(items, error)
                return
            finally:
                self.result.writing_s += time.monotonic() - began
            self._acknowledge(items, answer)
            return

    def _acknowledge(self, items: list[Item], answer: Any) -> None:
        self.failing = 0
        self.result.batches += 1
        self.result.bytes += sum(item.size for item in items)
        for item in items:
            del self.todo[identity(item.row)]
        if answer and not answer[0][0]:  # [applied] of a conditional insert
            self.result.existing += len(items)
        else:
            self.result.rows += len(items)

    async def _give_up(self, error: Exception) -> None:
        """One batch is given up: from now on one try each, and none when all of them fail."""
        if isinstance(error, ServerError):  # which a table that is being dropped causes, too
            await self._check_table()
        self.failing += 1
        if self.failing >= self.settings.output_concurrent_writes:
            self.stopped = True

    async def _find_refused(self, items: list[Item], error: Exception) -> None:
        """Cassandra refuses a batch for good: ask whether it is the table, else which row it is."""
        if isinstance(error, Unauthorized):
            self._stop(describe(error))
        else:
            await self._check_table()
        if self.stopped:
            return
        if len(items) > 1:
            middle = len(items) // 2
            await self._send(items[:middle])
            await self._send(items[middle:])
            return
        self.refused.append((items[0].row, f"word {items[0].row.word[:100]!r}: {describe(error)}"))
        if len(self.refused) >= _MOST_REFUSED:
            self._stop(f"{len(self.refused)} rows are refused, the last one {self.refused[-1][1]}")

    async def _check_table(self) -> None:
        """Stop if the table is gone or does not fit any more; asks once a write."""
        if self.checked:
            return
        self.checked = True
        try:
            await check(self.writer.session, self.settings)
        except ConfigurationError as unfit:
            self._stop(str(unfit))
        except UnavailableError:
            self.checked = False

    def _stop(self, why: str) -> None:
        self.stopped = True
        self.fatal = self.fatal or why

    def _refusal(self) -> WriteRefusedError:
        table = self.writer.shape.name
        if self.fatal is not None:
            what = f"writes to {table} are refused: {self.fatal}"
        else:
            more = len(self.refused) - 1
            others = f" (and {more} more)" if more else ""
            what = f"a row for {table} can't be written: {self.refused[0][1]}{others}"
        rows = [row for row, _ in self.refused]
        return WriteRefusedError(what, self.result, rows, only_rows=self.fatal is None)
