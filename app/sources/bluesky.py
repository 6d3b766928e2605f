"""Posts of the Bluesky network by Jetstream: public, without an account, from a cursor on."""

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
_REFUSED_FOR_GOOD = (400, 401, 403, 404, 410)


class BlueskySource(Source):
    """The texts of new posts; goes on from the cursor of the last one that Kafka has.

    A post's time is that at which the server saw it: what its author's clock says can be anything.
    Right after a connection the server sends the last event again; it is known by its name.
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
        self._notices = ThrottledOutput()
        self._cursor = 0
        """Time of the newest event, in µs since 1970."""
        self._seen: set[str] = set()
        """Events of that very time."""
        self._stream: aiohttp.ClientWebSocketResponse | None = None
        self._closing: asyncio.Future[bool] | None = None

    async def open(self) -> None:
        """Check the endpoint."""
        if self._url.scheme not in ("ws", "wss") or not self._url.host:
            raise ConfigurationError(f"{self._url} is no WebSocket; write --endpoint as {ENDPOINT}")

    async def resume(self, positions: Mapping[str, Any]) -> None:
        """Go on from the cursor of an earlier run; without one, from now on."""
        position = positions.get(self.name)
        if position is not None:
            self._cursor, self._seen = position["cursor"], set(position["seen"])

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield posts, one by one, connecting again whenever the stream breaks off."""
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
                self._notices.say("lost", f"Jetstream is away ({reason}); trying on")
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
        if error.status in _REFUSED_FOR_GOOD:
            raise SourceError(
                f"Jetstream at {self._url} refuses: {error.status} {error.message}; mend --endpoint"
            ) from None
        limited = error.status == 429
        wait = self._backoff.limited() if limited else self._backoff.http()
        self._notices.say("lost", f"Jetstream says {error.status}; trying on in {wait:.0f} s")
        await self.pause(wait)

    async def _read(self, stream: aiohttp.ClientWebSocketResponse) -> AsyncIterator[Batch]:
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
        """Close the stream, which ends whoever waits for its next message."""
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
        """Time (µs), name and text of an event; the text is None where it is no new post."""
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
            self._notices.say("strange", f"left out what is no event: {data[:100]!r}")
            return None

    def _batch(self, time_us: int, name: str, text: str | None) -> Batch:
        if time_us > self._cursor:
            self._cursor, self._seen = time_us, set()
        if time_us == self._cursor:
            self._seen.add(name)
        position = Position(self.name, {"cursor": self._cursor, "seen": sorted(self._seen)})
        if not text:
            return Batch(b"", 0, position=position)
        # JSON can hold halves of surrogate pairs, which UTF-8 has no bytes for.
        return Batch(text.encode("utf-8", "replace"), 1, sane(time_us // 1000), position)
