"""The source of `produce bluesky`: public posts from Jetstream, resumed at a cursor."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from app.errors import ConfigurationError
from app.sources.base import Batch, Position, Source, SourceError
from app.sources.event_time import sane
from app.sources.reconnecting import ReconnectPolicy
from app.sources.throttled_output import ThrottledOutput

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

__all__ = ["ENDPOINT", "BlueskySource"]

ENDPOINT = "wss://jetstream2.us-east.bsky.network/subscribe"

_POSTS = "app.bsky.feed.post"
_MESSAGE_BYTES = 16 << 20
_HEARTBEAT_SECONDS = 20.0
_CLOSED = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED)
_PERMANENT_REFUSALS = (400, 401, 403, 404, 410)


class BlueskySource(Source):
    """Yields the texts of new posts; resumes at the cursor of the last post that Kafka has.

    The time of a post is when the server received it, since clocks of authors can be wrong. After
    each connection the server sends the last event again; the source skips it by its name.
    """

    def __init__(
        self,
        endpoint: str = ENDPOINT,
        *,
        heartbeat_seconds: float = _HEARTBEAT_SECONDS,
        backoff: ReconnectPolicy | None = None,
    ) -> None:
        super().__init__()
        self._url = URL(endpoint)
        self.name = f"bluesky {endpoint}"
        self._heartbeat_seconds = heartbeat_seconds
        self._backoff = backoff or ReconnectPolicy()
        self._output = ThrottledOutput()
        self._cursor = 0
        """Time of the newest event, in µs since 1970."""
        self._seen: set[str] = set()
        """Names of the events at exactly that time."""
        self._stream: aiohttp.ClientWebSocketResponse | None = None
        self._closing: asyncio.Future[bool] | None = None

    async def open(self) -> None:
        """Check the endpoint."""
        if self._url.scheme not in ("ws", "wss") or not self._url.host:
            raise ConfigurationError(
                f"{self._url} is no WebSocket; use an --endpoint like {ENDPOINT}"
            )

    async def resume(self, positions: Mapping[str, Any]) -> None:
        """Resume at the cursor of an earlier run; without one, start at the present."""
        position = positions.get(self.name)
        if position is not None:
            self._cursor, self._seen = position["cursor"], set(position["seen"])

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield posts one by one; reconnect whenever the stream ends."""
        async with aiohttp.ClientSession(trust_env=True) as session:
            while not self.stopping.is_set():
                try:
                    async with self._connect(session) as stream:
                        self._stream = stream
                        async for batch in self._read(stream):
                            yield batch
                    reason = f"closed with code {stream.close_code}"
                except aiohttp.WSServerHandshakeError as error:
                    await self._refused(error)
                    continue
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    reason = str(error) or type(error).__name__
                if self.stopping.is_set():
                    return
                self._output.notify("lost", f"Jetstream is away ({reason}); retrying")
                await self.pause(self._backoff.network())

    def _connect(self, session: aiohttp.ClientSession) -> Any:
        query = {"wantedCollections": _POSTS}
        if self._cursor:
            query["cursor"] = str(self._cursor)
        return session.ws_connect(
            self._url.extend_query(query),
            heartbeat=self._heartbeat_seconds,
            max_msg_size=_MESSAGE_BYTES,
            timeout=aiohttp.ClientWSTimeout(ws_close=1),
        )

    async def _refused(self, error: aiohttp.WSServerHandshakeError) -> None:
        """Wait before the next attempt. Raises SourceError if a retry can't help."""
        if error.status in _PERMANENT_REFUSALS:
            raise SourceError(
                f"Jetstream at {self._url} refuses: {error.status} {error.message}; fix --endpoint"
            ) from None
        limited = error.status == 429
        wait = self._backoff.limited() if limited else self._backoff.http()
        self._output.notify("lost", f"Jetstream answers {error.status}; retrying in {wait:.0f} s")
        await self.pause(wait)

    async def _read(self, stream: aiohttp.ClientWebSocketResponse) -> AsyncIterator[Batch]:
        # After a reconnection the server starts at the cursor, so events up to it come again. They
        # are compared only until a newer one arrives: later, equal times are other events.
        replaying = bool(self._cursor)
        while not self.stopping.is_set():
            message = await stream.receive()
            if message.type in _CLOSED:
                return
            if message.type is aiohttp.WSMsgType.ERROR:
                raise self._broken(message.data)
            event = self._event(message.data) if message.type is aiohttp.WSMsgType.TEXT else None
            if event is None:
                continue
            time_us, name, text = event
            if replaying and time_us <= self._cursor:
                if time_us < self._cursor or name in self._seen:
                    continue
            elif time_us > self._cursor:
                replaying = False
            self._backoff.connected()
            yield self._batch(time_us, name, text)

    def stop(self) -> None:
        """Close the stream; that also ends a wait for its next message."""
        super().stop()
        if self._stream is not None:
            self._closing = asyncio.ensure_future(self._stream.close())

    def _broken(self, error: object) -> Exception:
        if getattr(error, "code", None) == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
            return SourceError(
                f"Jetstream at {self._url} sends a message of more than {_MESSAGE_BYTES} bytes; "
                "choose another --endpoint"
            )
        return aiohttp.ClientConnectionError(str(error))

    def _event(self, data: str) -> tuple[int, str, str | None] | None:
        """Decode an event: its time (µs), name and text; the text is None if it is no new post."""
        try:
            event = json.loads(data)
            time_us = int(event["time_us"])
            if event.get("kind") != "commit":
                return time_us, f"{event.get('kind')} {event['did']}", None
            commit = event["commit"]
            name = f"{event['did']} {commit['collection']} {commit['rkey']} {commit['operation']}"
            if commit["operation"] != "create" or commit["collection"] != _POSTS:
                return time_us, name, None
            return time_us, name, str(commit["record"]["text"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self._output.notify("strange", f"skipped a message that is no event: {data[:100]!r}")
            return None

    def _batch(self, time_us: int, name: str, text: str | None) -> Batch:
        """Move the cursor to the event, and return its line, if any, with the position."""
        if time_us > self._cursor:
            self._cursor, self._seen = time_us, set()
        # The server sends the cursor's time again, so the position has the names that were yielded.
        if time_us == self._cursor:
            self._seen.add(name)
        position = Position(self.name, {"cursor": self._cursor, "seen": sorted(self._seen)})
        if not text:
            return Batch(b"", 0, position=position)
        # JSON can hold half a surrogate pair, which UTF-8 can't encode.
        return Batch(text.encode("utf-8", "replace"), 1, sane(time_us // 1000), position)
