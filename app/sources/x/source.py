"""Posts of X that match rules: API v2's filtered stream, held open by X's own advice.

By aiohttp, not Tweepy: Tweepy 4.17's AsyncStreamingClient names its server in its code, waits a
minute after a 429 whatever x-rate-limit-reset says, tries a refused token for ever, and ends at the
first message that is not JSON or longer than 128 KiB.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from app.errors import ConfigurationError
from app.sources.base import Batch, Source, SourceError
from app.sources.event_time import sane
from app.sources.reconnecting import ReconnectPolicy
from app.sources.throttled_output import ThrottledOutput
from app.sources.x.rules import Rules, explanation
from app.times import parse_iso

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

__all__ = ["ENDPOINT", "XSource", "session"]

ENDPOINT = "https://api.x.com"

_PATH = "/2/tweets/search/stream"
_STALL_SECONDS = 20.0
"""X sends at least a newline in so long; else the connection is dead."""

_MESSAGE_BYTES = 8 << 20
_REMEMBERED = 200_000
"""Ids of posts that are known, so that one that comes again is left out."""

_ANSWER_BYTES = 64 << 10


def session(token: str, endpoint: str = ENDPOINT) -> aiohttp.ClientSession:
    """A session that brings the token. Raises ConfigurationError for a wrong endpoint.

    The token goes to that server alone: redirects are not followed.
    """
    url = URL(endpoint)
    loopback = url.host in ("localhost", "127.0.0.1", "::1")
    if not url.host or (url.scheme != "https" and not (url.scheme == "http" and loopback)):
        raise ConfigurationError(f"{endpoint} is no https URL; the token would be sent in clear")
    return aiohttp.ClientSession(
        url.origin(), headers={"Authorization": f"Bearer {token}"}, trust_env=True
    )


class XSource(Source):
    """The texts of the posts that match the stream's rules, each at the time it was made."""

    replayable = False
    waits = False

    def __init__(
        self,
        token: str,
        *,
        endpoint: str = ENDPOINT,
        add: Sequence[str] = (),
        delete: Sequence[str] = (),
        backfill_minutes: int = 0,
        stall_seconds: float = _STALL_SECONDS,
        backoff: ReconnectPolicy | None = None,
    ) -> None:
        super().__init__()
        self._token = token
        self._endpoint = endpoint
        self._add = add
        self._delete = delete
        self._backfill_minutes = backfill_minutes
        self._stall_seconds = stall_seconds
        self._backoff = backoff or ReconnectPolicy()
        self._notices = ThrottledOutput()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Set the rules. Raises ConfigurationError, UnavailableError."""
        self._session = session(self._token, self._endpoint)
        rules = Rules(self._session)
        await rules.delete(self._delete)
        await rules.add(self._add)
        if not await rules.all():
            raise ConfigurationError("the stream has no rules, so it brings nothing; add a --rule")

    async def close(self) -> None:
        """Let go of the connection."""
        if self._session is not None:
            await self._session.close()

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield posts, one by one, connecting again whenever the stream breaks off."""
        while not self.stopping.is_set():
            try:
                async with self._request() as response:
                    if response.status == 200:
                        async for batch in self._posts(response):
                            yield batch
                        wait, reason = self._backoff.network(), "X closed the stream"
                    else:
                        wait, reason = await self._refused(response)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                wait, reason = self._backoff.network(), str(error) or type(error).__name__
            if not self.stopping.is_set():
                self._notices.say("lost", f"{reason}; connecting again in {wait:.3g} s")
                await self.pause(wait)

    def _request(self) -> Any:
        assert self._session is not None, "open comes first"  # noqa: S101 - for mypy
        query = {"tweet.fields": "created_at,note_tweet"}
        if self._backfill_minutes:
            query["backfill_minutes"] = str(self._backfill_minutes)
        timeout = aiohttp.ClientTimeout(sock_connect=10, sock_read=self._stall_seconds)
        return self._session.get(_PATH, params=query, timeout=timeout, allow_redirects=False)

    async def _refused(self, response: aiohttp.ClientResponse) -> tuple[float, str]:
        """How long to wait after a status that is no 200, and why."""
        try:
            answer = json.loads(await response.content.read(_ANSWER_BYTES))
        except (ValueError, aiohttp.ClientError, TimeoutError):
            answer = None
        said = explanation(answer) if isinstance(answer, dict) else ""
        reason = f"X says {response.status} {said or response.reason or ''}".rstrip()
        if response.status == 429:
            return self._backoff.limited(_until_reset(response)), reason
        if response.status >= 500 or response.status in (408, 425):
            return self._backoff.http(), reason
        raise SourceError(f"{reason}; mend the token, the rules or --backfill")

    async def _posts(self, response: aiohttp.ClientResponse) -> AsyncIterator[Batch]:
        held, since = b"", time.monotonic()
        async for chunk in response.content.iter_any():
            if time.monotonic() > since + self._backoff.unit:
                # Even a mere newline tells that the stream lives.
                self._backoff.connected()
            *lines, held = (held + chunk).split(b"\n")
            for line in lines:
                if not line.strip():
                    continue
                batch = self._post(line)
                if batch is not None:
                    self._backoff.connected()
                    yield batch
            if len(held) > _MESSAGE_BYTES:
                raise aiohttp.ClientPayloadError(f"a message of more than {_MESSAGE_BYTES} bytes")
            if self.stopping.is_set():
                return

    def _post(self, line: bytes) -> Batch | None:
        """The post in a message; None where there is none, or one that is known."""
        try:
            message = json.loads(line)
            if "data" not in message:
                self._tell(message)
                return None
            post = message["data"]
            number = str(post["id"])
            long = post.get("note_tweet") or post
            text = str(long["text"])
            timestamp_ms = _event_time(post.get("created_at"))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self._notices.say("strange", f"left out what is no post: {line[:100]!r}")
            return None
        if number in self._known:
            return None
        self._known[number] = None
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        # JSON can hold halves of surrogate pairs, which UTF-8 has no bytes for.
        return Batch(text.encode("utf-8", "replace"), 1, timestamp_ms)

    def _tell(self, message: dict[str, Any]) -> None:
        """X says why it is about to close the stream, or something that is not for us."""
        if "errors" in message or "title" in message:
            self._notices.say("told", f"X says: {explanation(message)}")


def _until_reset(response: aiohttp.ClientResponse) -> float | None:
    """Seconds until the limit is reset, as the server says."""
    try:
        return float(response.headers["x-rate-limit-reset"]) - time.time()
    except (KeyError, ValueError):
        return None


def _event_time(created_at: object) -> int | None:
    """Milliseconds since 1970; None for a time that is missing or can't be meant."""
    try:
        milliseconds = parse_iso(str(created_at))
    except (ValueError, OverflowError):
        return None
    return sane(milliseconds)
