"""HTTP handlers of the queries: JSON answers, and errors as JSON too: {"error": reason}."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from aiohttp import web

from app.queries.merge import BadRequestError, NotServingError
from app.times import parse_time
from app.web.openapi import document

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.queries.queries import Queries

__all__ = ["Views", "errors_as_json"]

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1
"""The Retry-After of a 503: there is no right answer now."""

TOP_WORDS = 20
"""Number of words in an answer of /api/top without `n`."""


class Views:
    """Handlers of all paths; workers query each other through `/api/local/…`."""

    def __init__(self, queries: Queries, *, protected: bool = False) -> None:
        self._queries = queries
        self._protected = protected

    def routes(self) -> list[web.RouteDef]:
        """Every path and its handler."""
        return [
            web.get("/api/top", self.top),
            web.get("/api/words", self.word),
            web.get("/api/words/{word:.*}", self.word),  # a word may contain slashes
            web.get("/api/windows", self.windows),
            web.get("/api/status", self.status),
            web.get("/api/openapi.json", self.openapi),
            web.get("/api/local/top", self.local_top),
            web.get("/api/local/word", self.local_word),
            web.get("/api/local/windows", self.local_windows),
            web.get("/api/local/status", self.local_status),
            web.get("/api/local/rates", self.local_rates),
            web.get("/health/live", self.live),
            web.get("/health/ready", self.ready),
            web.get("/metrics", self.metrics),
        ]

    async def top(self, request: web.Request) -> web.Response:
        """`/api/top?n=20&window=START`."""
        start = request.query.get("window")
        return _json(
            await self._queries.counts.top(
                _number(request, "n", str(TOP_WORDS)), None if start is None else _time(start)
            )
        )

    async def word(self, request: web.Request) -> web.Response:
        """`/api/words/{word}`, or `/api/words?word=…` for words that no path can hold: `..`."""
        _check_utf8(request)
        word = request.match_info.get("word", request.query.get("word", ""))
        return _json(await self._queries.counts.word(word))

    async def windows(self, _: web.Request) -> web.Response:
        """`/api/windows`."""
        return _json(await self._queries.counts.windows())

    async def status(self, _: web.Request) -> web.Response:
        """`/api/status`."""
        return _json(await self._queries.status.all())

    async def openapi(self, _: web.Request) -> web.Response:
        """`/api/openapi.json`."""
        return _json(document(protected=self._protected))

    async def local_top(self, request: web.Request) -> web.Response:
        """Top words of this worker's partitions."""
        start = request.query.get("start")
        return _json(
            await self._queries.local.top(
                _number(request, "n"),
                None if start is None else _time(start),
                _time(request.query.get("before", "")),
            )
        )

    async def local_word(self, request: web.Request) -> web.Response:
        """Counts of a word of one of this worker's partitions."""
        word = request.query.get("word", "")
        return _json(await self._queries.local.word(_number(request, "partition"), word))

    async def local_windows(self, _: web.Request) -> web.Response:
        """Windows of this worker's partitions."""
        return _json(await self._queries.local.windows())

    async def local_status(self, _: web.Request) -> web.Response:
        """This worker's state."""
        return _json(await self._queries.status.own())

    async def local_rates(self, request: web.Request) -> web.Response:
        """This worker's lines and words of each second after `since` (Unix time)."""
        rates = self._queries.own_rates.since(_number(request, "since", digits=15))
        return _json({"id": self._queries.application_id, "rates": rates})

    async def live(self, _: web.Request) -> web.Response:
        """`/health/live`: any answer also shows that the event loop runs."""
        reasons = self._queries.health.not_live()
        return _health({"live": not reasons, "reasons": reasons})

    async def ready(self, _: web.Request) -> web.Response:
        """`/health/ready`."""
        reasons = self._queries.health.not_ready()
        return _health(
            {"ready": not reasons, "state": self._queries.health.state, "reasons": reasons}
        )

    async def metrics(self, _: web.Request) -> web.Response:
        """`/metrics`, in Prometheus' text format."""
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=await self._queries.metrics.text(), headers=headers)


@web.middleware
async def errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer every error as JSON: 400 with the wrong parameter, 503 with the time of a retry."""
    try:
        response = await handler(request)
    except BadRequestError as error:
        response = _json({"error": str(error)}, 400)
    except NotServingError as error:
        response = _json({"error": str(error)}, 503)
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = _json({"error": error.reason}, error.status)
        for name in ("Allow", "WWW-Authenticate"):
            if name in error.headers:
                response.headers[name] = error.headers[name]
    except Exception:
        logger.exception("%s failed", request.path)
        response = _json({"error": "the worker failed to answer; its log has the reason"}, 500)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _json(value: Any, status: int = 200) -> web.Response:
    return web.json_response(
        value, status=status, dumps=lambda it: json.dumps(it, ensure_ascii=False)
    )


def _health(value: dict[str, Any]) -> web.Response:
    return _json(value, 503 if value["reasons"] else 200)


def _check_utf8(request: web.Request) -> None:
    # Bytes that are not UTF-8 would read as another word: %E9 as three characters, or as U+FFFD.
    try:
        unquote_to_bytes(request.raw_path).decode()
    except UnicodeError:
        raise BadRequestError("the word is not UTF-8") from None


def _number(request: web.Request, name: str, default: str = "", digits: int = 9) -> int:
    text = request.query.get(name, default)
    if re.fullmatch(rf"[0-9]{{1,{digits}}}", text) is None:
        raise BadRequestError(f"{name}={text[:40]}: must be a whole number")
    return int(text)


def _time(text: str) -> int:
    try:
        return parse_time(text)
    except ValueError as error:
        raise BadRequestError(f"window: {error}") from None
