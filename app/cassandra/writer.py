"""Upserts absolute counts in batches, retries faults, and reports what was not acknowledged."""

from __future__ import annotations

import asyncio
import logging
import time
from itertools import chain
from typing import TYPE_CHECKING, Any

from cassandra import Unauthorized
from cassandra.protocol import ServerError

from app.backoff import Backoff
from app.cassandra.batching import Batcher
from app.cassandra.columns import CodecError
from app.cassandra.faults import (
    DRIVER_ERRORS,
    describe,
    is_about_schema,
    is_passing,
    kind,
)
from app.cassandra.requests import Item, request
from app.cassandra.results import Observer, Unobserved, WriteRefusedError, WriteResult
from app.cassandra.rows import Row, RowEncoder
from app.cassandra.schema import check, check_top
from app.cassandra.session import REQUEST_TIMEOUT_SECONDS, CassandraSession, completion
from app.cassandra.throughput import Throughput
from app.cassandra.top import TopEncoder
from app.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from app.cassandra.target import Target
    from app.settings import Settings

__all__ = ["CassandraWriter", "Row", "WriteRefusedError", "WriteResult"]

logger = logging.getLogger(__name__)

_ROWS_PER_TURN = 500
"""Rows to process before other tasks of the event loop get a turn: about 2 ms."""


_MAX_REFUSED = 20
"""Refused rows after which a write stops: then more than single rows must be wrong."""


def retry_backoff() -> Backoff:
    """The waits between the attempts of one batch, from the beginning."""
    return Backoff(first_seconds=0.1, longest_seconds=2.0, jitter=0.5)


class CassandraWriter:
    """Writes rows to one table; `create` and `create_top` construct it."""

    def __init__(
        self,
        session: CassandraSession,
        settings: Settings,
        target: Target,
        prepared: Sequence[Any],
        throughput: Throughput | None = None,
        observer: Observer | None = None,
        backoff: Callable[[], Backoff] = retry_backoff,
    ) -> None:
        self.session = session
        self.settings = settings
        self.target = target
        self.prepared = prepared
        self.throughput = throughput or Throughput(settings.output_throughput)
        self.observer = observer or Unobserved()
        self.backoff = backoff

    @classmethod
    async def create(
        cls, session: CassandraSession, settings: Settings, observer: Observer | None = None
    ) -> CassandraWriter:
        """A writer of the table of the counts.

        Raises ConfigurationError when the table does not fit, UnavailableError when Cassandra can't
        be asked.
        """
        target = RowEncoder(settings, await check(session, settings))
        return cls(session, settings, target, await _prepare(session, target), None, observer)

    async def create_top(self) -> CassandraWriter:
        """A writer of the table of the top words, beside this one; raises as `create` does."""
        session, settings = self.session, self.settings
        await check_top(session, settings)
        target = TopEncoder(settings)
        prepared = await _prepare(session, target)
        return CassandraWriter(session, settings, target, prepared, self.throughput, self.observer)

    async def write(
        self, rows: Sequence[Any], *, timeout_seconds: float | None = None
    ) -> WriteResult:
        """Upsert `rows`; the result names those that Cassandra did not acknowledge.

        If several rows are the same row of the table, only the newest is written. Passing faults
        are retried by the settings. When no request succeeds any more, or after `timeout_seconds`
        seconds, the rest is returned as `unwritten`. Raises WriteRefusedError for rows that can
        never be written, after writing all others.
        """
        return await _Write(self, rows, timeout_seconds).run()


async def _prepare(session: CassandraSession, target: Target) -> list[Any]:
    try:
        return [await session.prepare(cql) for cql in target.statements]
    except DRIVER_ERRORS as error:
        if is_passing(error):
            raise UnavailableError(
                f"Cassandra can't prepare writes now: {describe(error)}; retry later"
            ) from None
        raise WriteRefusedError(
            f"Cassandra refuses writes to {target.name}: {describe(error)}", WriteResult()
        ) from None


class _Write:
    """One call of `write`: its progress, and the state of Cassandra as far as it shows."""

    def __init__(
        self, writer: CassandraWriter, rows: Sequence[Any], timeout_seconds: float | None
    ) -> None:
        self.writer = writer
        self.settings = writer.settings
        self.rows = rows
        self.result = WriteResult()
        self.deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        self.target = writer.target
        self.todo: dict[Hashable, Any] = {}
        self.refused: list[tuple[Any, str]] = []
        self.failing = 0  # batches abandoned since a request last succeeded
        self.stopped = False
        self.fatal: str | None = None
        self.checked = False

    async def run(self) -> WriteResult:
        await self._keep_newest()
        batches = self._batches(await self._ordered_by_partition())
        concurrency = min(self.settings.output_concurrent_writes, max(1, len(self.todo)))
        workers = [asyncio.ensure_future(self._work(batches)) for _ in range(concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        self.result.unwritten = list(self.todo.values())
        if self.fatal is not None or self.refused:
            raise self._refusal()
        return self.result

    async def _keep_newest(self) -> None:
        todo, identity = self.todo, self.target.identity
        for number, row in enumerate(self.rows, 1):
            key = identity(row)
            other = todo.setdefault(key, row)
            if other is not row:
                self.result.superseded += 1
                if row.timestamp_us >= other.timestamp_us:
                    todo[key] = row
            if number % (10 * _ROWS_PER_TURN) == 0:
                await asyncio.sleep(0)

    async def _ordered_by_partition(self) -> list[Any]:
        """The rows, ordered by partition: Cassandra applies adjacent rows as one write."""
        together = self.target.neighbours
        if together is None:
            return list(self.todo.values())
        partitions: dict[Hashable, list[Any]] = {}
        for number, row in enumerate(self.todo.values(), 1):
            partitions.setdefault(together(row), []).append(row)
            if number % (10 * _ROWS_PER_TURN) == 0:
                await asyncio.sleep(0)
        return list(chain.from_iterable(partitions.values()))

    def _batches(self, rows: list[Any]) -> Iterator[list[Item] | None]:
        """Yield batches in the order in which they fill; None at times gives other tasks a turn."""
        settings, target, prepared = self.settings, self.target, self.writer.prepared
        batcher: Batcher[Item] = Batcher(
            max_rows=1 if settings.output_if_not_exists else settings.output_batch_rows,
            max_bytes=settings.output_batch_bytes,
            max_open=settings.output_batch_grouping_buffer,
        )
        group_of = target.grouping(self.writer.session)
        now_ms = int(time.time() * 1000)
        for number, row in enumerate(rows, 1):
            if number % _ROWS_PER_TURN == 0:
                now_ms = int(time.time() * 1000)
                yield None
            try:
                values = target.encode(row, now_ms)
            except CodecError as error:
                self.refused.append((row, str(error)))
                continue
            routing_key, size = target.routing_key(values), target.size(values)
            item = Item(row, prepared[target.which(row)], values, routing_key, size)
            batch = batcher.add(group_of(row, routing_key), item, size)
            if batch is not None:
                yield batch.items
        for batch in batcher.drain():
            yield batch.items

    async def _work(self, batches: Iterator[list[Item] | None]) -> None:
        for items in batches:
            if self.stopped:
                return
            if items is None:
                await asyncio.sleep(0)
            else:
                await self._pause(self.writer.throughput.wait_seconds(len(items)))
                await self._send(items)

    async def _pause(self, seconds: float) -> None:
        seconds_left = self._seconds_left()
        if seconds > 0 and seconds_left > 0:
            self.writer.observer.waited(min(seconds, seconds_left))
            await asyncio.sleep(min(seconds, seconds_left))

    def _seconds_left(self) -> float:
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()

    async def _send(self, items: list[Item]) -> None:
        """Write `items`, with retries while they may help; unacknowledged rows stay in `todo`."""
        statement = request(self.settings.keyspace, items)
        backoff = self.writer.backoff()
        while not self.stopped:
            seconds_left = self._seconds_left()
            if seconds_left <= 0:
                self.stopped = True
                return
            began = time.monotonic()
            try:
                response = self.writer.session.driver.execute_async(
                    statement, timeout=min(REQUEST_TIMEOUT_SECONDS, seconds_left)
                )
                answer = await completion(response)
            except DRIVER_ERRORS as error:
                self.writer.observer.failed(kind(error), time.monotonic() - began)
                self.result.faults[kind(error)] = describe(error)
                if is_passing(error) or await self._lags(error):
                    wait_seconds = backoff.failed()
                    if backoff.failures > (0 if self.failing else self.settings.output_retries):
                        await self._abandon(error)
                        return
                    self.writer.observer.retried()
                    await self._pause(wait_seconds)
                    continue
                if not self.stopped:
                    await self._find_refused(items, error)
                return
            self._acknowledge(items, answer, time.monotonic() - began)
            return

    def _acknowledge(self, items: list[Item], answer: Any, seconds: float) -> None:
        self.failing = 0
        size = sum(item.size for item in items)
        self.writer.observer.acknowledged(len(items), size, seconds)
        identity = self.target.identity
        for item in items:
            del self.todo[identity(item.row)]
        if answer and not answer[0][0]:  # [applied] of a conditional insert
            self.result.existing += len(items)
        else:
            self.result.rows += len(items)

    async def _abandon(self, error: Exception) -> None:
        """Abandon one batch: the next ones get one attempt each, and none once all of them fail."""
        if isinstance(error, ServerError):  # dropping a table causes it, too
            await self._check_table()
        self.failing += 1
        if self.failing >= self.settings.output_concurrent_writes:
            self.stopped = True

    async def _lags(self, error: Exception) -> bool:
        """Whether the table exists and only the queried node does not have it yet."""
        if not is_about_schema(error):
            return False
        await self._check_table()
        return not self.stopped

    async def _find_refused(self, items: list[Item], error: Exception) -> None:
        """Find why Cassandra refuses a batch: check the table, then halve the batch."""
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
        if len(self.refused) >= _MAX_REFUSED:
            self._stop(f"{len(self.refused)} rows are refused, the last one {self.refused[-1][1]}")

    async def _check_table(self) -> None:
        """Stop if the table is gone or does not fit any more; queries the schema once a write."""
        if self.checked:
            return
        self.checked = True
        if not await self.writer.session.schema_agreed():
            self.checked = False  # the queried node may have an older schema than the others
            return
        try:
            await self.target.check(self.writer.session)
        except ConfigurationError as unfit:
            self._stop(str(unfit))
        except UnavailableError:
            self.checked = False

    def _stop(self, reason: str) -> None:
        self.stopped = True
        self.fatal = self.fatal or reason

    def _refusal(self) -> WriteRefusedError:
        table = self.target.name
        if self.fatal is not None:
            what = f"writes to {table} are refused: {self.fatal}"
        else:
            more = len(self.refused) - 1
            others = f" (and {more} more)" if more else ""
            what = f"a row for {table} can't be written: {self.refused[0][1]}{others}"
        rows = [row for row, _ in self.refused]
        return WriteRefusedError(what, self.result, rows, only_rows=self.fatal is None)
