"""Awaits the requests of a session with Cassandra."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Self, TypeVar

from cassandra import ConsistencyLevel
from cassandra.query import SimpleStatement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from cassandra.cluster import ResponseFuture

__all__ = ["CassandraSession", "completion", "in_daemon_thread"]

REQUEST_TIMEOUT_SECONDS = 5.0
"""Maximum wait for an answer; longer than the server's own 2 s for a write."""

AGREEMENT_TIMEOUT_SECONDS = 5.0
"""Maximum wait until the nodes agree on the schema."""

_T = TypeVar("_T")


class CassandraSession:
    """A session whose calls are awaited instead of blocking; `connecting.connect` opens it.

    `driver` is the driver's session and `cluster` its cluster, for calls that are not wrapped here.
    """

    def __init__(self, cluster: Any, driver: Any) -> None:
        self.cluster = cluster
        self.driver = driver

    async def execute(
        self,
        statement: Any,
        values: Sequence[Any] | None = None,
        *,
        timeout_seconds: float | None = None,
    ) -> list[Any]:
        """Run a CQL text or a statement of the driver; return its rows.

        A text runs at LOCAL_ONE, a statement at its own level or that of the settings. Raises the
        driver's exceptions: OperationTimedOut if there is no answer within `timeout_seconds`, 5 by
        default.
        """
        if isinstance(statement, str):
            statement = SimpleStatement(statement, consistency_level=ConsistencyLevel.LOCAL_ONE)
        response = self.driver.execute_async(
            statement, values, timeout=timeout_seconds or REQUEST_TIMEOUT_SECONDS
        )
        return list(await completion(response) or ())

    async def prepare(self, cql: str) -> Any:
        """Prepare a CQL text. Raises the driver's exceptions."""
        return await in_daemon_thread(lambda: self.driver.prepare(cql))

    async def schema_agreed(self) -> bool:
        """Whether all nodes that are up have the same schema; waits up to 5 s for it."""
        ask = self.cluster.control_connection.wait_for_schema_agreement
        try:
            return bool(await in_daemon_thread(lambda: ask(wait_time=AGREEMENT_TIMEOUT_SECONDS)))
        except Exception:  # the driver could not ask, so agreement is not certain
            return False

    async def close(self) -> None:
        """Close all connections; requests under way fail. Closing twice does nothing."""
        await in_daemon_thread(self.cluster.shutdown)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


async def completion(response: ResponseFuture) -> Any:
    """The result of a request of the driver, awaited; raises what the request raised.

    The driver calls back on its own thread; cancelling the await leaves the request under way.
    """
    # Only the loop's thread may set a future, so the driver's thread passes the answer to it. By
    # then the await may be cancelled, or the loop closed: the answer is dropped.
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(set_it: Callable[[Any], None], value: Any) -> None:
        if not done.done():
            set_it(value)

    def call_back(set_it: Callable[[Any], None], value: Any) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, set_it, value)

    response.add_callbacks(
        lambda rows: call_back(done.set_result, rows),
        lambda error: call_back(done.set_exception, error),
    )
    return await done


async def in_daemon_thread(call: Callable[[], _T]) -> _T:
    """Await `call` in a daemon thread of its own, which never keeps the process alive."""
    # A call of the driver may block for as long as nodes hang. Python joins the threads of a pool
    # when it exits, so such a call in a pool would keep a stopped worker from ending.
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def settle(value: _T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(value)  # type: ignore[arg-type]  # None only where _T allows it

    def run() -> None:
        value, error = None, None
        try:
            value = call()
        except BaseException as raised:  # the awaiting task receives it
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, name="cassandra-call", daemon=True).start()
    return await done
