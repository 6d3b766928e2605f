"""From a source to a delivery: every batch, until the source ends or is stopped."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol, cast

from app.sources.transforms import dated, paced

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from app.sources.base import Batch, Source
    from app.sources.delivery.contract import Delivery

__all__ = ["deliver", "pump"]

_SECONDS_BETWEEN_ACKNOWLEDGEMENTS = 0.2


_SMALL_CHUNK = 4096
"""Bytes to read at once if batches stay whole and go at a slow pace."""


class Taker(Protocol):
    """The receiver of batches: a delivery or a buffer."""

    @property
    def linger_until(self) -> float | None:
        """When `flush` is due, by time.monotonic(); None: nothing waits for it."""

    async def take(self, batch: Batch) -> None:
        """Take a batch in; waits while there is no space."""

    async def flush(self) -> None:
        """Send the lines that wait for others."""


async def pump(
    source: Source,
    delivery: Delivery,
    *,
    lines_per_second: float = 0,
    timestamp_ms: int | None = None,
) -> None:
    """Deliver everything that an open source yields, then wait until Kafka has all of it.

    Ends early if `source.stop()` is called. If the source fails, its batches are delivered before
    its error is raised. `lines_per_second` 0: no limit.
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
        # Even after an error: lines that Kafka has must not come again in the next run.
        if delivery.position is not None:
            await source.acknowledge(delivery.position)
    if not acknowledging.cancelled():
        acknowledging.result()


async def deliver(batches: AsyncIterator[Batch], source: Source, taker: Taker) -> None:
    """Pass every batch to the taker; end soon after the source is stopped."""
    stopping = asyncio.create_task(source.stopping.wait())
    following: asyncio.Future[Batch] | None = None
    batches_to_stop = source.batches_to_stop
    try:
        while batches_to_stop > 0:
            # The number falls only once the source is stopped: until then 0 is subtracted.
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
            # Retrieve its result even if this task is cancelled: otherwise asyncio logs an error.
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def _wait(
    following: asyncio.Future[Batch],
    stopping: asyncio.Task[bool],
    taker: Taker,
    source: Source,
) -> None:
    """Wait for the next batch; flush once the lines before it have waited long enough."""
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
    acknowledged: object = None
    while True:
        if source.lingers:
            await asyncio.sleep(_SECONDS_BETWEEN_ACKNOWLEDGEMENTS)
        else:
            await delivery.moved.wait()
            delivery.moved.clear()
        if delivery.position is not None and delivery.position is not acknowledged:
            acknowledged = delivery.position
            await source.acknowledge(acknowledged)
