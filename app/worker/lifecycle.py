"""How a worker starts, fails and stops.

stop: drain tasks ─► last checkpoints ─► last flush ─► close
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from app.errors import UnavailableError, WordCountError, exit_status, print_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.kafka.watch import BrokerWatch
    from app.settings import Settings
    from app.worker.rebalance import TaskManager

__all__ = ["Failure", "LastFlush", "Lifecycle", "Process", "Resource", "gone_while_starting"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

START_SECONDS = 15.0
"""How long a start may take before it is checked whether Kafka is still there."""

LAST_FLUSH_SECONDS = 10.0
"""Time limit of the last flush; the next owner flushes the rows that are left."""

END_SECONDS = 15.0
"""How long the process may take to end once its work is safe."""


def gone_while_starting(settings: Settings) -> UnavailableError:
    """Return the error of a start during which Kafka went away."""
    return UnavailableError(
        f"Kafka at {', '.join(settings.broker)} went away while the worker started; "
        "start it again once Kafka is back"
    )


class Process(Protocol):
    """The Faust application as a process."""

    @property
    def should_stop(self) -> bool:
        """Whether the worker is stopping."""

    @property
    def in_worker(self) -> bool:
        """Whether the application runs as the command `worker`."""


class LastFlush(Protocol):
    """Flushes what is left, within a time limit (seconds); returns the rows that remain."""

    async def __call__(self, timeout_seconds: float | None = None, /) -> int:
        """Flush."""


class Resource(Protocol):
    """A connection that is opened before counting starts and closed after it."""

    async def open(self) -> None:
        """Open it."""

    async def close(self) -> None:
        """Close it."""


class Failure:
    """The error that stops the worker; `error` is None while there is none."""

    def __init__(self, process: Process) -> None:
        self.error: BaseException | None = None
        self._process = process

    def fail(self, error: BaseException) -> None:
        """Stop the worker at once, with `error` as the reason; committed work stays as it is."""
        if self.error is None:
            self.error = error
            if not isinstance(error, WordCountError):
                logger.critical("the worker can't continue", exc_info=error)
            # The signal that an operator sends, so that there is one way to stop.
            os.kill(os.getpid(), signal.SIGTERM)

    async def guard(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """Run `work` and return its result; an error of it stops the worker.

        Returns None after an error, and without running `work` if the worker is stopping already.
        """
        if self._process.should_stop:
            return None
        try:
            return await work()
        except Exception as error:
            if not self._process.should_stop:  # otherwise the last flush meets the same error
                self.fail(error)
            return None


class Lifecycle:
    """Opens what a worker needs, watches its start, and stops it in order."""

    def __init__(
        self,
        process: Process,
        settings: Settings,
        failure: Failure,
        tasks: TaskManager,
        flush: LastFlush,
        broker: BrokerWatch,
        sink: Resource,
        close_offsets: Callable[[], Awaitable[None]],
    ) -> None:
        self._process = process
        self._settings = settings
        self._failure = failure
        self._tasks = tasks
        self._flush = flush
        self._broker = broker
        self._sink = sink
        self._close_offsets = close_offsets
        self._watching: asyncio.Future[Any] | None = None

    async def start(self) -> None:
        """Watch the start, and open the sink before anything is counted."""
        self._watching = asyncio.gather(self._broker.run(), self._expect_start())
        await self._sink.open()

    async def drain(self) -> None:
        """Drain the tasks and flush their changes; after a failure, only close the tasks."""
        # A failed worker commits nothing more: the next owner counts the rest from the committed
        # offset.
        if self._failure.error is None:
            await self._tasks.close(drain=True)
            await self._last_flush()
        await self._tasks.close()
        self._end_in_time()

    async def close(self) -> None:
        """Close the connections."""
        await self._sink.close()
        await self._close_offsets()
        if self._watching is not None:
            self._watching.cancel()

    async def _expect_start(self) -> None:
        """Fail if the tasks have not started and Kafka has gone away."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._tasks.at_work.wait(), START_SECONDS)
        # Recovery of many rows takes long, so only a missing Kafka ends the start.
        while not self._tasks.at_work.is_set():
            if not await self._broker.probe():
                self._failure.fail(gone_while_starting(self._settings))
                return
            await asyncio.sleep(1)

    async def _last_flush(self) -> None:
        try:
            left = await self._flush(LAST_FLUSH_SECONDS)
        except WordCountError as error:
            # The worker is stopping already: the error only sets its last line and exit status.
            self._failure.error = error
        else:
            if left:
                logger.warning("%d rows are not in Cassandra yet; the next start writes them", left)

    def _end_in_time(self) -> None:
        # The work is safe by now. But Faust's consumer can hang in its stop while Kafka is away.
        if self._process.in_worker:
            timer = threading.Timer(END_SECONDS, self._end)
            timer.daemon = True
            timer.start()

    def _end(self) -> None:
        error = self._failure.error
        if error is not None:
            print_error(error, as_json=self._settings.log_format == "json")
        os._exit(0 if error is None else exit_status(error))
