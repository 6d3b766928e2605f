"""Server-sent events: one producer per worker, and any number of listeners of the same bytes.

    produce() once a second, while a listener is there ──► frame ──► the slot of each listener

A listener has one slot, not a queue: the next frame replaces a frame that it has not taken yet.
So a slow reader costs one frame of memory and delays no other listener. A listener that takes
nothing for `SLOW_SECONDS` is dropped.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["MAX_LISTENERS", "SLOW_SECONDS", "Feed", "Frame", "encode"]

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 1.0
"""Time from one frame to the next."""

SLOW_SECONDS = 15.0
"""How long a listener may take nothing before it is dropped."""

RETRY_MS = 2000
"""How long a page waits before it reconnects."""

MAX_LISTENERS = 1000
"""Maximum number of streams that a worker serves at once."""

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would buffer the stream otherwise
}


class Frame(NamedTuple):
    """The bytes that are sent at once; `id` grows from frame to frame."""

    id: int
    content: bytes


class _Listener:
    """Holds the newest frame that was not taken yet."""

    def __init__(self) -> None:
        self._slot: Frame | None = None
        self._filled = asyncio.Event()

    def offer(self, frame: Frame | None) -> None:
        self._slot = frame
        self._filled.set()

    async def take(self) -> Frame | None:
        """Wait for the next frame; None is the end of the stream."""
        await self._filled.wait()
        self._filled.clear()
        return self._slot


class Feed:
    """Produces frames while there are listeners.

    `produce` returns the next frame. `greet` returns the first bytes for a listener, given the id
    of the last frame that it has received (0: none).
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
        """Number of open streams."""
        return len(self._listeners)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Answer with frames until the page disconnects or this worker stops."""
        if self._closed:
            raise _Busy("the worker is stopping")
        if len(self._listeners) >= MAX_LISTENERS:
            raise _Busy(f"{MAX_LISTENERS} pages are open already; close some")
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
            pass  # the page has gone or reads too slowly; if it is still there, it reconnects
        finally:
            self._listeners.discard(listener)
        return response

    def close(self) -> None:
        """End all streams and refuse new ones."""
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
            # An orderly close would wait for the reader that does not read.
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
                logger.exception(
                    "a frame of the page failed; counting continues, the next frame follows"
                )
            else:
                for listener in self._listeners:
                    listener.offer(frame)
            await asyncio.sleep(max(0.1, began + INTERVAL_SECONDS - loop.time()))


class _Busy(web.HTTPServiceUnavailable):
    """Refuses a stream, with Retry-After."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason=reason, headers={"Retry-After": "5"})


def encode(event: str, data: Any, id: int | None = None) -> bytes:  # noqa: A002 - as the field is
    """One server-sent event; `data` as JSON, which has no newlines."""
    head = f"event: {event}\n" if id is None else f"id: {id}\nevent: {event}\n"
    # Lone surrogates can't be encoded. No word holds one, but a path or a reason might.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"{head}data: {text}\n\n".encode(errors="replace")


def _last_id(request: web.Request) -> int:
    text = request.headers.get("Last-Event-ID", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
