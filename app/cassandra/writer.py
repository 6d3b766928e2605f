"""Upserts absolute counts in batches, retries faults, and reports what was not acknowledged."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from cassandra import Unauthorized
from cassandra.protocol import ServerError

from app.backoff import Backoff
from app.cassandra.faults import (
    DRIVER_ERRORS,
    describe,
    is_about_schema,
    is_passing,
    kind,
)
from app.cassandra.refusals import Refusals
from app.cassandra.requests import Item, request
from app.cassandra.results import Observer, Unobserved, WriteRefusedError, WriteResult
from app.cassandra.row_batches import batches, newest, ordered_by_partition
from app.cassandra.rows import Row, RowEncoder
from app.cassandra.schema import check, check_top
from app.cassandra.session import REQUEST_TIMEOUT_SECONDS, CassandraSession, completion
from app.cassandra.table_check import TableCheck
from app.cassandra.throughput import Throughput
from app.cassandra.top import TopEncoder
from app.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from app.cassandra.target import Target
    from app.settings import Settings

__all__ = ["CassandraWriter", "Row", "WriteRefusedError", "WriteResult"]

logger = logging.getLogger(__name__)

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
        return await _Write(self, timeout_seconds).run(rows)


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

    # The workers of a write share one iterator of batches. Each worker takes a batch, sends it, and
    # retries it until it is acknowledged or abandoned. A row leaves `todo` only when its batch is
    # acknowledged, so `todo` holds exactly the unwritten rows at any time.

    def __init__(self, writer: CassandraWriter, timeout_seconds: float | None) -> None:
        self.writer = writer
        self.settings = writer.settings
        self.target = writer.target
        self.result = WriteResult()
        self.deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        self.todo: dict[Hashable, Any] = {}
        self.refusals = Refusals(writer.target.name)
        self.table_check = TableCheck(writer.session, writer.target)
        self.failing = 0  # batches abandoned since a request last succeeded
        self.stopped = False

    async def run(self, rows: Sequence[Any]) -> WriteResult:
        self.todo, self.result.superseded = await newest(self.target, rows)
        ordered = await ordered_by_partition(self.target, self.todo.values())
        writer = self.writer
        of_rows = batches(
            writer.session,
            self.settings,
            self.target,
            writer.prepared,
            ordered,
            self.refusals.refuse,
        )
        concurrency = min(self.settings.output_concurrent_writes, max(1, len(self.todo)))
        workers = [asyncio.ensure_future(self._work(of_rows)) for _ in range(concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        self.result.unwritten = list(self.todo.values())
        error = self.refusals.error(self.result)
        if error is not None:
            raise error
        return self.result

    async def _work(self, of_rows: Iterator[list[Item] | None]) -> None:
        for items in of_rows:
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
        # A failed request has one of three outcomes. A passing fault is retried. An invalid request
        # is retried if only the queried node lacks the table. Any other refusal is permanent: halve
        # the batch to find the rows, and write the others.
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
        # During an outage every batch would wait through all its retries, one after the other. One
        # failure for each concurrent request, without a success between them, shows an outage.
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
        reason = f"word {items[0].row.word[:100]!r}: {describe(error)}"
        count = self.refusals.refuse(items[0].row, reason)
        if count >= _MAX_REFUSED:
            self._stop(f"{count} rows are refused, the last one {reason}")

    async def _check_table(self) -> None:
        """Stop if the table is gone or does not fit any more."""
        reason = await self.table_check.misfit()
        if reason is not None:
            self._stop(reason)

    def _stop(self, reason: str) -> None:
        self.stopped = True
        self.refusals.refuse_all(reason)
