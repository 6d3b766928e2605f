"""Server-sent events: one producer a worker, and any number of listeners of the same bytes.

    produce() once a second, while somebody listens ──► frame ──► the slot of each listener

A listener has one slot, not a queue: what it has not taken when the next frame comes is skipped.
So a slow reader costs one frame of memory and delays nobody; one that takes nothing for
`SLOW_SECONDS` is dropped.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["MOST_LISTENERS", "SLOW_SECONDS", "Feed", "Frame", "encode"]

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 1.0
"""Time from one frame to the next."""

SLOW_SECONDS = 15.0
"""How long a listener may take nothing before it is dropped."""

RETRY_MS = 2000
"""When a page that has lost its stream is to ask again."""

MOST_LISTENERS = 1000
"""Streams that a worker serves at once."""

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # proxies must pass it on at once
}


class Frame(NamedTuple):
    """What is sent at once: `id` grows from frame to frame."""

    id: int
    content: bytes


class _Listener:
    """The newest frame that has not been taken yet."""

    def __init__(self) -> None:
        self._slot: Frame | None = None
        self._filled = asyncio.Event()

    def offer(self, frame: Frame | None) -> None:
        self._slot = frame
        self._filled.set()

    async def take(self) -> Frame | None:
        """Wait for the next frame; None: there will be no more."""
        await self._filled.wait()
        self._filled.clear()
        return self._slot


class Feed:
    """Makes frames while somebody listens.

    `produce` makes the next frame; `greet` makes what a listener is sent first, given the id of the
    last frame that it has had (0: none).
    """

    def __init__(
        self,
        produce: Callable[[], Awaitable[Frame]],
        greet: Callable[[int], Awaitable[bytes]],
    ) -> None:
        self._produce = produce
        self._greet = greet
        self._listeners: set[_Listener] = set()
        self._producing: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def listeners(self) -> int:
        """How many streams are open."""
        return len(self._listeners)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Answer with frames until the page, or this worker, goes away."""
        if self._closed:
            raise _Busy("the worker is stopping")
        if len(self._listeners) >= MOST_LISTENERS:
            raise _Busy(f"{MOST_LISTENERS} pages are open already")
        response = web.StreamResponse(headers=HEADERS)
        listener = _Listener()
        self._listeners.add(listener)
        try:
            greeting = await self._greet(_last_id(request))
            await response.prepare(request)
            await self._send(request, response, b"retry: %d\n\n" % RETRY_MS + greeting)
            self._start()
            while (frame := await listener.take()) is not None:
                await self._send(request, response, frame.content)
        except (ConnectionError, TimeoutError):
            pass  # the page has gone, or has not read for long: it asks again if it wants to
        finally:
            self._listeners.discard(listener)
        return response

    def close(self) -> None:
        """End all streams; there will be no more."""
        self._closed = True
        if self._producing is not None:
            self._producing.cancel()
        for listener in self._listeners:
            listener.offer(None)

    async def _send(
        self, request: web.Request, response: web.StreamResponse, content: bytes
    ) -> None:
        try:
            async with asyncio.timeout(SLOW_SECONDS):
                await response.write(content)
        except TimeoutError:
            # Closing in order would wait for the reader that does not read.
            if request.transport is not None:
                request.transport.abort()
            raise

    def _start(self) -> None:
        if not self._closed and (self._producing is None or self._producing.done()):
            self._producing = asyncio.create_task(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._listeners:
            began = loop.time()
            try:
                frame = await self._produce()
            except Exception:
                logger.exception("what the page shows can't be made; counting goes on")
            else:
                for listener in self._listeners:
                    listener.offer(frame)
            await asyncio.sleep(max(0.1, began + INTERVAL_SECONDS - loop.time()))


class _Busy(web.HTTPServiceUnavailable):
    """No more streams now."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason=reason, headers={"Retry-After": "5"})


def encode(event: str, data: Any, id: int | None = None) -> bytes:  # noqa: A002 - as the field is
    """One server-sent event; `data` as JSON, which has no newlines."""
    head = f"event: {event}\n" if id is None else f"id: {id}\nevent: {event}\n"
    # Lone surrogates can't be encoded, and no word holds one; a path or a reason might.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"{head}data: {text}\n\n".encode(errors="replace")


def _last_id(request: web.Request) -> int:
    text = request.headers.get("Last-Event-ID", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
