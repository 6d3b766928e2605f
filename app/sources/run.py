"""One run of a producer: from a source to Kafka, until the end or until it is told to stop."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any, Protocol, cast

from app.signals import on_end_signal
from app.sources.transforms import dated, paced

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator

    from app.sources.base import Batch, Source
    from app.sources.delivery.producer import Delivery

__all__ = ["GivenUp", "deliver", "pump", "stopped_by_signals"]

_SECONDS_BETWEEN_ACKNOWLEDGEMENTS = 0.2


_SMALL_CHUNK = 4096
"""Bytes: a slow pace of batches that stay whole wants small ones."""


class GivenUp(Exception):  # noqa: N818 - a decision, not an error
    """Told a second time to stop, while lines still waited for Kafka."""


class Taker(Protocol):
    """What batches go to."""

    @property
    def linger_until(self) -> float | None:
        """When `flush` is due, by time.monotonic(); None: nothing waits for it."""

    async def take(self, batch: Batch) -> None:
        """Take a batch in; waits while there is no room."""

    async def flush(self) -> None:
        """Let what waits for more go."""


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
    if lines_per_second and source.name:
        source.chunk = _SMALL_CHUNK
    batches = paced(source, lines_per_second) if lines_per_second else source.batches()
    if timestamp_ms is not None:
        batches = dated(batches, timestamp_ms)
    acknowledging = asyncio.create_task(_acknowledge(source, delivery))
    try:
        try:
            async with aclosing(cast("AsyncGenerator[Batch]", batches)):
                await deliver(batches, source, delivery)
        except Exception:
            await delivery.drain()
            raise
        await delivery.drain()
    finally:
        acknowledging.cancel()
        await asyncio.wait({acknowledging})
        # Given up, too: what Kafka has must not come again.
        if delivery.position is not None:
            await source.acknowledge(delivery.position)
    if not acknowledging.cancelled():
        acknowledging.result()


async def deliver(batches: AsyncIterator[Batch], source: Source, taker: Taker) -> None:
    """Let the taker take every batch; ends soon after the source is stopped."""
    stopping = asyncio.create_task(source.stopping.wait())
    following: asyncio.Future[Batch] | None = None
    batches_to_stop = source.batches_to_stop
    try:
        while batches_to_stop > 0:
            batches_to_stop -= source.stopping.is_set()
            if source.at_hand:
                await taker.take(await anext(batches))
                continue
            following = asyncio.ensure_future(anext(batches))
            while not following.done():
                await _wait(following, stopping, taker, source)
            try:
                batch = following.result()
            except StopAsyncIteration:
                return
            except asyncio.CancelledError:
                if stopping.done():
                    return
                raise
            await taker.take(batch)
    finally:
        stopping.cancel()
        if following is not None:
            # Whoever gives up takes no notice of how it ended: asyncio would complain of that.
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def _wait(
    following: asyncio.Future[Batch],
    stopping: asyncio.Task[bool],
    taker: Taker,
    source: Source,
) -> None:
    """Wait for the next batch; flush when the lines before it have waited long enough."""
    if stopping.done():
        await asyncio.wait({following}, timeout=source.seconds_to_stop)
        following.cancel()
        await asyncio.wait({following})
        return
    due = taker.linger_until
    timeout = None if due is None else max(0.0, due - time.monotonic()) * source.lingers
    waiters: set[asyncio.Future[Any]] = {following, stopping}
    done, _ = await asyncio.wait(waiters, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    if not done:
        await taker.flush()


async def _acknowledge(source: Source, delivery: Delivery) -> None:
    told: object = None
    while True:
        if source.lingers:
            await asyncio.sleep(_SECONDS_BETWEEN_ACKNOWLEDGEMENTS)
        else:
            await delivery.moved.wait()
            delivery.moved.clear()
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
        with on_end_signal(stop):
            yield
    except asyncio.CancelledError:
        if given_up:
            raise GivenUp from None
        raise
