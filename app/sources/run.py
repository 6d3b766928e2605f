"""One run of a producer: from a source to Kafka, until the end or until it is told to stop."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any, cast

from app.signals import asked_to_end
from app.sources.flow import dated, paced

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator

    from app.sources.base import Batch, Source
    from app.sources.delivery import Delivery

__all__ = ["GivenUp", "pump", "stopped_by_signals"]

_SECONDS_TO_STOP = 1.0
_BATCHES_TO_STOP = 1000
_SECONDS_BETWEEN_ACKNOWLEDGEMENTS = 0.2


class GivenUp(Exception):  # noqa: N818 - a decision, not an error
    """Told a second time to stop, while lines still waited for Kafka."""


async def pump(
    source: Source,
    delivery: Delivery,
    *,
    lines_per_second: float = 0,
    timestamp_ms: int | None = None,
) -> None:
    """Deliver everything that an open source yields, then wait until Kafka has all of it.

    Ends early when `source.stop()` was called. When the source breaks off, what it had yielded is
    delivered before its error is raised. `lines_per_second` 0: as fast as it goes.
    """
    batches = paced(source, lines_per_second) if lines_per_second else source.batches()
    if timestamp_ms is not None:
        batches = dated(batches, timestamp_ms)
    acknowledging = asyncio.create_task(_acknowledge(source, delivery))
    try:
        try:
            async with aclosing(cast("AsyncGenerator[Batch]", batches)):
                await _deliver(batches, source, delivery)
        except Exception:
            await delivery.drain()
            raise
        await delivery.drain()
    finally:
        acknowledging.cancel()
        await asyncio.wait({acknowledging})
    if not acknowledging.cancelled():
        acknowledging.result()
    if delivery.position is not None:
        await source.acknowledge(delivery.position)


async def _deliver(batches: AsyncIterator[Batch], source: Source, delivery: Delivery) -> None:
    stopping = asyncio.create_task(source.stopping.wait())
    following: asyncio.Future[Batch] | None = None
    batches_to_stop = _BATCHES_TO_STOP
    try:
        while batches_to_stop:
            batches_to_stop -= source.stopping.is_set()
            following = asyncio.ensure_future(anext(batches))
            while not following.done():
                await _wait(following, stopping, delivery)
            try:
                batch = following.result()
            except StopAsyncIteration:
                return
            except asyncio.CancelledError:
                if stopping.done():
                    return
                raise
            await delivery.take(batch)
    finally:
        stopping.cancel()
        if following is not None and not following.done():
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def _wait(
    following: asyncio.Future[Batch], stopping: asyncio.Task[bool], delivery: Delivery
) -> None:
    """Wait for the next batch; flush when the lines before it have waited long enough."""
    if stopping.done():
        await asyncio.wait({following}, timeout=_SECONDS_TO_STOP)
        following.cancel()
        await asyncio.wait({following})
        return
    due = delivery.linger_until
    timeout = None if due is None else max(0.0, due - time.monotonic())
    waiters: set[asyncio.Future[Any]] = {following, stopping}
    done, _ = await asyncio.wait(waiters, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    if not done:
        await delivery.flush()


async def _acknowledge(source: Source, delivery: Delivery) -> None:
    told: object = None
    while True:
        await asyncio.sleep(_SECONDS_BETWEEN_ACKNOWLEDGEMENTS)
        if delivery.position is not None and delivery.position is not told:
            told = delivery.position
            await source.acknowledge(told)


@contextmanager
def stopped_by_signals(source: Source, on_stop: Callable[[], bool]) -> Iterator[None]:
    """Let the first signal to end stop the source, the second raise GivenUp in the body.

    `on_stop` is called at the first; if it returns False, there is nothing to wait for, and the
    first does what the second would.
    """
    body = asyncio.current_task()
    given_up = False

    def stop() -> None:
        nonlocal given_up
        first = not source.stopping.is_set()
        source.stop()
        if (first and on_stop()) or body is None:
            return
        given_up = True
        body.cancel()

    try:
        with asked_to_end(stop):
            yield
    except asyncio.CancelledError:
        if given_up:
            raise GivenUp from None
        raise
