"""A Thrift source for Flume's Thrift sink: what it is told is OK, Kafka has."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from app.errors import ConfigurationError
from app.sources.base import Batch, Headers, Source
from app.sources.event_time import sane
from app.sources.flume.thrift import Call, Event, MalformedError, Status, decode, refuse, reply
from app.sources.tcp.connection import enable_keepalive
from app.sources.throttled_output import ThrottledOutput

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ["FlumeSource"]

FRAME_BYTES = 16 << 20
CONNECTIONS = 100

_ROOM_BYTES = 64 << 20
"""Bytes of frames that are taken in and not yet handed on; then peers have to wait."""

_SECONDS_TO_WAIT = 5.0
"""Kafka is away when it has not acknowledged events for so long: then Flume keeps its own."""

_SECONDS_FOR_A_FRAME = 60.0
_SECONDS_TO_REPLY = 2.0
_MOST_DIGITS = 15


class FlumeSource(Source):
    """Listens for Flume's calls append and appendBatch, framed, compact or binary.

    A call is answered with OK once Kafka has all of its events, with FAILED while Kafka is away:
    Flume sends the events again then. So none is lost, and one can be there twice.
    """

    lingers = False

    def __init__(
        self,
        host: str,
        port: int,
        *,
        connections: int = CONNECTIONS,
        frame_bytes: int = FRAME_BYTES,
    ) -> None:
        super().__init__()
        self._address = (host, port)
        self._limit = connections
        self._frame_bytes = frame_bytes
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._taken: asyncio.Queue[_Request] = asyncio.Queue()
        self._unanswered: deque[_Request] = deque()
        self._room = _Room(_ROOM_BYTES)
        self._notices = ThrottledOutput()
        self._numbers = itertools.count(1)

    async def open(self) -> None:
        """Listen. Raises ConfigurationError for an address that can't be had."""
        host, port = self._address
        try:
            self._server = await asyncio.start_server(self._serve, host, port)
        except OSError as error:
            raise ConfigurationError(
                f"can't listen on {host}:{port}: {error.strerror or error}; "
                "choose another --listen HOST:PORT"
            ) from None
        host, port = self._server.sockets[0].getsockname()[:2]
        self._notices.say("listening", f"listening for Flume's Thrift sinks on {host}:{port}")

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield the events of each call, the last of them with the call as its position."""
        stopping = asyncio.create_task(self.stopping.wait())
        try:
            while (request := await self._next(stopping)) is not None:
                for batch in _batches(request):
                    yield batch
        finally:
            stopping.cancel()

    async def _next(self, stopping: asyncio.Task[bool]) -> _Request | None:
        if self._taken.empty() and not stopping.done():
            getting = asyncio.create_task(self._taken.get())
            try:
                await asyncio.wait({getting, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if getting.done():
                    return getting.result()
            finally:
                getting.cancel()
        return None if self._taken.empty() else self._taken.get_nowait()

    async def acknowledge(self, position: object) -> None:
        """Answer the calls up to the one with this number."""
        assert isinstance(position, int)  # noqa: S101 - for mypy
        while self._unanswered and self._unanswered[0].number <= position:
            self._unanswered.popleft().answered.set()

    def stop(self) -> None:
        """Take no more connections, nor calls on those that are there."""
        super().stop()
        if self._server is not None:
            self._server.close()

    async def close(self) -> None:
        """Send the answers that are due, and close all connections."""
        self.stop()
        due = {task for task in self._serving if not task.done()}
        if due and not self._unanswered:
            await asyncio.wait(due, timeout=_SECONDS_TO_REPLY)
        for task in due:
            task.cancel()
        await asyncio.gather(*due, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for mypy
        peer = "{}:{}".format(*writer.get_extra_info("peername")[:2])
        if len(self._serving) >= self._limit:
            self._notices.say("full", f"{self._limit} connections are open, refused {peer}")
            writer.close()
            return
        self._serving.add(task)
        try:
            await self._converse(reader, writer)
        except MalformedError as error:
            self._notices.say("malformed", f"closed the connection of {peer}: {error}")
        except (OSError, asyncio.IncompleteReadError):
            pass  # the peer is gone: what it got no answer for it sends again
        except asyncio.CancelledError:
            if not self.stopping.is_set():  # else `close` did it, and asyncio's own callback fails
                raise
        finally:
            self._serving.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        enable_keepalive(writer.get_extra_info("socket"))
        while not self.stopping.is_set():
            size = int.from_bytes(await reader.readexactly(4), "big")
            if size > self._frame_bytes:
                raise MalformedError(
                    f"a frame of {size} bytes is longer than {self._frame_bytes} (or not framed); "
                    "raise --max-frame if it is Flume's"
                )
            async with self._room.held(size):
                answer = await self._answer(decode(await _frame(reader, size)))
                if answer is None:
                    return
                writer.write(answer)
                await writer.drain()

    async def _answer(self, call: Call) -> bytes | None:
        """The reply to a call once it is known; None when this source is about to end."""
        if call.events is None:
            return refuse(call)
        if not call.events:
            return reply(call, Status.OK)
        if self.stopping.is_set():
            return None
        if self._unanswered and time.monotonic() > self._unanswered[0].since + _SECONDS_TO_WAIT:
            return reply(call, Status.FAILED)
        request = _Request(next(self._numbers), call.events, time.monotonic(), asyncio.Event())
        self._unanswered.append(request)
        self._taken.put_nowait(request)
        await request.answered.wait()
        return reply(call, Status.OK)


class _Request(NamedTuple):
    """Events that wait for Kafka, and their peer for an answer."""

    number: int
    events: list[Event]
    since: float
    answered: asyncio.Event


class _Room:
    """Memory for frames: who finds none free waits."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._change = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def held(self, size: int) -> AsyncIterator[None]:
        """Hold `size` bytes during the body; a frame larger than the room has it alone."""
        async with self._change:
            await self._change.wait_for(lambda: not self._used or self._used + size <= self._size)
            self._used += size
        try:
            yield
        finally:
            self._used -= size
            async with self._change:
                self._change.notify_all()


async def _frame(reader: asyncio.StreamReader, size: int) -> bytes:
    try:
        async with asyncio.timeout(_SECONDS_FOR_A_FRAME):
            return await reader.readexactly(size)
    except TimeoutError:
        raise MalformedError("a frame stalled half-way") from None


def _batches(request: _Request) -> Iterator[Batch]:
    """A call's events, those together that follow each other with the same time and headers."""
    groups = [(key, list(events)) for key, events in itertools.groupby(request.events, _key)]
    for number, ((timestamp_ms, headers), events) in enumerate(groups, 1):
        text = b"\n".join([(event.body or b"").removesuffix(b"\n") for event in events])
        yield Batch(
            text,
            text.count(b"\n") + 1,
            timestamp_ms,
            request.number if number == len(groups) else None,
            headers=headers,
        )


def _key(event: Event) -> tuple[int | None, Headers]:
    if not event.headers:
        return None, ()
    # The order in which Java's hash map sends them is nobody's.
    headers = tuple(
        (name.decode("utf-8", "replace"), value) for name, value in sorted(event.headers.items())
    )
    return _event_time(event.headers.get(b"timestamp", b"")), headers


def _event_time(text: bytes) -> int | None:
    """Milliseconds since 1970 of a timestamp header; None where it can't be meant."""
    return sane(int(text)) if text.isdigit() and len(text) <= _MOST_DIGITS else None
