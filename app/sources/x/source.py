"""The source of posts of X: API v2's filtered stream, kept open as X advises.

It uses aiohttp, not Tweepy. Tweepy 4.17's AsyncStreamingClient has a fixed server, ignores
x-rate-limit-reset after a 429, and retries a refused token for ever. It ends at the first message
that is not JSON or longer than 128 KiB.
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
"""X sends at least a newline within this time; after it, the connection counts as dead."""

_MESSAGE_BYTES = 8 << 20
_REMEMBERED = 200_000
"""Number of post ids to remember, so that a repeated post is skipped."""

_ANSWER_BYTES = 64 << 10


def session(token: str, endpoint: str = ENDPOINT) -> aiohttp.ClientSession:
    """Open a session that sends the token. Raises ConfigurationError for a wrong endpoint.

    The token goes to that server alone, since redirects are not followed.
    """
    url = URL(endpoint)
    loopback = url.host in ("localhost", "127.0.0.1", "::1")
    if not url.host or (url.scheme != "https" and not (url.scheme == "http" and loopback)):
        raise ConfigurationError(
            f"{endpoint} is no https URL, so the token would be sent in clear; fix --endpoint"
        )
    return aiohttp.ClientSession(
        url.origin(), headers={"Authorization": f"Bearer {token}"}, trust_env=True
    )


class XSource(Source):
    """Yields the texts of posts that match the stream's rules, with their creation times."""

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
        self._output = ThrottledOutput()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Change the rules as requested. Raises ConfigurationError, UnavailableError."""
        self._session = session(self._token, self._endpoint)
        rules = Rules(self._session)
        await rules.delete(self._delete)
        await rules.add(self._add)
        if not await rules.all():
            raise ConfigurationError("the stream has no rules, so it has no posts; add a --rule")

    async def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            await self._session.close()

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield posts one by one; reconnect whenever the stream ends."""
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
                self._output.notify("lost", f"{reason}; reconnecting in {wait:.3g} s")
                await self.pause(wait)

    def _request(self) -> Any:
        assert self._session is not None, "open comes first"  # noqa: S101 - for mypy
        query = {"tweet.fields": "created_at,note_tweet"}
        if self._backfill_minutes:
            query["backfill_minutes"] = str(self._backfill_minutes)
        timeout = aiohttp.ClientTimeout(sock_connect=10, sock_read=self._stall_seconds)
        return self._session.get(_PATH, params=query, timeout=timeout, allow_redirects=False)

    async def _refused(self, response: aiohttp.ClientResponse) -> tuple[float, str]:
        """Return the seconds to wait after an error status, and the reason.

        Raises SourceError if a retry can't help.
        """
        try:
            answer = json.loads(await response.content.read(_ANSWER_BYTES))
        except (ValueError, aiohttp.ClientError, TimeoutError):
            answer = None
        text = explanation(answer) if isinstance(answer, dict) else ""
        reason = f"X answers {response.status} {text or response.reason or ''}".rstrip()
        if response.status == 429:
            return self._backoff.limited(_until_reset(response)), reason
        if response.status >= 500 or response.status in (408, 425):
            return self._backoff.http(), reason
        raise SourceError(f"{reason}; fix the token, the rules or --backfill")

    async def _posts(self, response: aiohttp.ClientResponse) -> AsyncIterator[Batch]:
        incomplete, since = b"", time.monotonic()
        async for chunk in response.content.iter_any():
            if time.monotonic() > since + self._backoff.unit:
                # Any data shows that the stream works; X sends newlines when there are no posts.
                self._backoff.connected()
            *lines, incomplete = (incomplete + chunk).split(b"\n")
            for line in lines:
                if not line.strip():
                    continue
                batch = self._post(line)
                if batch is not None:
                    self._backoff.connected()
                    yield batch
            if len(incomplete) > _MESSAGE_BYTES:
                raise aiohttp.ClientPayloadError(f"a message of more than {_MESSAGE_BYTES} bytes")
            if self.stopping.is_set():
                return

    def _post(self, line: bytes) -> Batch | None:
        """Return the post in a message; None if there is none, or a repeated one."""
        try:
            message = json.loads(line)
            if "data" not in message:
                self._report(message)
                return None
            post = message["data"]
            number = str(post["id"])
            long = post.get("note_tweet") or post
            text = str(long["text"])
            timestamp_ms = _event_time(post.get("created_at"))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self._output.notify("strange", f"skipped a message that is no post: {line[:100]!r}")
            return None
        if number in self._known:
            return None
        self._known[number] = None
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        # JSON can hold half a surrogate pair, which UTF-8 can't encode.
        return Batch(text.encode("utf-8", "replace"), 1, timestamp_ms)

    def _report(self, message: dict[str, Any]) -> None:
        """Report X's reason for the end of the stream; ignore other messages without a post."""
        if "errors" in message or "title" in message:
            self._output.notify("ending", f"X reports: {explanation(message)}")


def _until_reset(response: aiohttp.ClientResponse) -> float | None:
    """Seconds until the rate limit is reset; None if the server does not state it."""
    try:
        return float(response.headers["x-rate-limit-reset"]) - time.time()
    except (KeyError, ValueError):
        return None


def _event_time(created_at: object) -> int | None:
    """Milliseconds since 1970; None if the time is missing or not plausible."""
    try:
        milliseconds = parse_iso(str(created_at))
    except (ValueError, OverflowError):
        return None
    return sane(milliseconds)
