"""The source of `produce flume`: a server that answers OK once Kafka has the events."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from app.errors import ConfigurationError
from app.sources.base import Batch, Source
from app.sources.flume.events import batches_of
from app.sources.flume.frames import FrameMemory, read_frame, read_size
from app.sources.flume.thrift import (
    Call,
    Event,
    MalformedError,
    ReplyStatus,
    decode,
    refuse,
    reply,
)
from app.sources.tcp.connection import enable_keepalive
from app.sources.throttled_output import ThrottledOutput

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["FlumeSource"]

_FRAME_BYTES = 16 << 20
_CONNECTIONS = 100

_MEMORY_BYTES = 64 << 20
"""Most bytes of frames that are not answered yet; then peers wait."""

_AWAY_SECONDS = 5.0
"""Kafka counts as away if it acknowledged no events for so long; then Flume keeps its events."""

_REPLY_TIMEOUT_SECONDS = 2.0


class FlumeSource(Source):
    """Serves Flume's calls append and appendBatch, framed, compact or binary.

    The answer to a call is OK once Kafka has all of its events, and FAILED while Kafka is away.
    After FAILED, Flume sends the events again. So no event is lost, and some can come twice.
    """

    lingers = False

    def __init__(
        self,
        host: str,
        port: int,
        *,
        connections: int = _CONNECTIONS,
        frame_bytes: int = _FRAME_BYTES,
    ) -> None:
        super().__init__()
        self._address = (host, port)
        self._connections = connections
        self._frame_bytes = frame_bytes
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._received: asyncio.Queue[_Request] = asyncio.Queue()
        self._unanswered: deque[_Request] = deque()
        self._memory = FrameMemory(_MEMORY_BYTES)
        self._output = ThrottledOutput()
        self._numbers = itertools.count(1)

    async def open(self) -> None:
        """Listen. Raises ConfigurationError for an address that is not available."""
        host, port = self._address
        try:
            self._server = await asyncio.start_server(self._serve, host, port)
        except OSError as error:
            raise ConfigurationError(
                f"can't listen on {host}:{port}: {error.strerror or error}; "
                "choose another --listen HOST:PORT"
            ) from None
        host, port = self._server.sockets[0].getsockname()[:2]
        self._output.notify("listening", f"listening for Flume's Thrift sinks on {host}:{port}")

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield the events of each call; the last batch has the number of the call as position."""
        stopping = asyncio.create_task(self.stopping.wait())
        try:
            while (request := await self._next(stopping)) is not None:
                for batch in batches_of(request.events, request.number):
                    yield batch
        finally:
            stopping.cancel()

    async def _next(self, stopping: asyncio.Task[bool]) -> _Request | None:
        """Wait for a request; once stopped, return those received before, then None."""
        if self._received.empty() and not stopping.done():
            getting = asyncio.create_task(self._received.get())
            try:
                await asyncio.wait({getting, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if getting.done():
                    return getting.result()
            finally:
                getting.cancel()
        return None if self._received.empty() else self._received.get_nowait()

    async def acknowledge(self, position: object) -> None:
        """Answer the calls up to the one with this number."""
        assert isinstance(position, int)  # noqa: S101 - for mypy
        while self._unanswered and self._unanswered[0].number <= position:
            self._unanswered.popleft().acknowledged.set()

    def stop(self) -> None:
        """Accept no more connections, and no more calls on the open ones."""
        super().stop()
        if self._server is not None:
            self._server.close()

    async def close(self) -> None:
        """Send the answers that are due, then close all connections."""
        self.stop()
        due = {task for task in self._serving if not task.done()}
        if due and not self._unanswered:
            await asyncio.wait(due, timeout=_REPLY_TIMEOUT_SECONDS)
        for task in due:
            task.cancel()
        await asyncio.gather(*due, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for mypy
        peer = "{}:{}".format(*writer.get_extra_info("peername")[:2])
        if len(self._serving) >= self._connections:
            self._output.notify("full", f"{self._connections} connections are open, refused {peer}")
            writer.close()
            return
        self._serving.add(task)
        try:
            await self._answer_calls(reader, writer)
        except MalformedError as error:
            self._output.notify("malformed", f"closed the connection of {peer}: {error}")
        except (OSError, asyncio.IncompleteReadError):
            pass  # the peer is gone, and will send its unanswered events again
        except asyncio.CancelledError:
            # After a cancellation by `close`, asyncio's own callback would fail on the exception.
            if not self.stopping.is_set():
                raise
        finally:
            self._serving.discard(task)
            writer.close()

    async def _answer_calls(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        enable_keepalive(writer.get_extra_info("socket"))
        while not self.stopping.is_set():
            size = await read_size(reader, self._frame_bytes)
            # Until the call is answered: its events stay in memory so long.
            async with self._memory.reserve(size):
                answer = await self._answer(decode(await read_frame(reader, size)))
                if answer is None:
                    return
                writer.write(answer)
                await writer.drain()

    async def _answer(self, call: Call) -> bytes | None:
        """Wait until the reply to a call is known; None if this source is about to end."""
        if call.events is None:
            return refuse(call)
        if not call.events:
            return reply(call, ReplyStatus.OK)
        if self.stopping.is_set():
            return None
        # Events that waited would fill memory, since Flume sends them again and again meanwhile.
        if self._unanswered and time.monotonic() > self._unanswered[0].since + _AWAY_SECONDS:
            return reply(call, ReplyStatus.FAILED)
        request = _Request(next(self._numbers), call.events, time.monotonic(), asyncio.Event())
        self._unanswered.append(request)
        self._received.put_nowait(request)
        await request.acknowledged.wait()
        return reply(call, ReplyStatus.OK)


class _Request(NamedTuple):
    """The events of a call that waits for its answer."""

    number: int
    events: list[Event]
    since: float
    acknowledged: asyncio.Event
