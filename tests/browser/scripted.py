"""The web of a worker with counts from a test: weeks of windows, clocks that are ahead."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Self, cast

from aiohttp import web
from aiohttp.test_utils import TestServer

from app.counting.text import as_counted
from app.queries.merge import NotServingError
from app.queries.worker_rates import WorkerRates
from app.settings import Settings
from app.times import iso
from app.web.events import Feed
from app.web.page import Page
from app.web.page_feed import PageFeed
from app.web.views import Views, errors_as_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["ScriptedWorker"]


class _Parts:
    """Stands for Queries: the scripted worker is each of its parts."""

    def __init__(self, worker: ScriptedWorker) -> None:
        self.counts = self.status = self.local = self.health = worker
        self.metrics = self.own_rates = worker


class ScriptedWorker:
    """The page, its events and its queries, with `counts` in place of a table.

    `counts` are words by window start (ms), `newest` the start of the newest window, by default the
    last one; while `away` is set there is no answer. `requests` are the requests so far with their
    times (monotonic), `frames` the number of sent states. `settings` are WORDCOUNT_ settings, by
    their names in lower case.
    """

    def __init__(self, counts: dict[int, dict[str, int]], **settings: str) -> None:
        self.counts = {start: Counter(words) for start, words in counts.items()}
        self.newest = max(counts)
        self.away = False
        self.requests: list[tuple[float, str]] = []
        self.frames = 0
        self._settings = Settings.read({f"WORDCOUNT_{k.upper()}": v for k, v in settings.items()})
        self.own_url = "http://scripted"
        parts = cast("Any", self)
        rates = WorkerRates(self._settings.id, parts, parts)
        page_feed = PageFeed(self._settings, parts, parts, rates)
        self._feed = Feed(page_feed.produce, page_feed.greet)
        served = web.Application(middlewares=[errors_as_json, self._record])
        served.add_routes(Views(cast("Any", _Parts(self))).routes())
        served.add_routes(Page(self._feed).routes())
        self._server = TestServer(served)

    async def __aenter__(self) -> Self:
        """Serve."""
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop serving."""
        self._feed.close()
        await self._server.close()

    @property
    def url(self) -> str:
        """Address of the server."""
        return str(self._server.make_url("")).rstrip("/")

    def times_of(self, path: str) -> list[float]:
        """Times of the requests whose path begins with `path`."""
        return [moment for moment, sent in self.requests if sent.startswith(path)]

    async def top(self, n: int, start: int | None = None) -> dict[str, Any]:
        """As Counts answers."""
        return (await self.top_and_totals(n, start))[0]

    async def top_and_totals(
        self, n: int, start: int | None = None
    ) -> tuple[dict[str, Any], tuple[int, int]]:
        """As Counts answers."""
        self._check()
        start = self.newest if start is None else start
        words = self.counts.get(start, Counter())
        top = [{"word": word, "count": count} for word, count in words.most_common(n)]
        answer = {"window": {**self._bounds(start), "final": False}, "words": top}
        return answer, (words.total(), len(words))

    async def word(self, word: str) -> dict[str, Any]:
        """As Counts answers."""
        self._check()
        word = as_counted(word, self._settings.words)
        found = [
            {**self._bounds(start), "count": words[word]}
            for start, words in sorted(self.counts.items(), reverse=True)
            if word in words
        ]
        return {"word": word, "windows": found}

    async def totals(self) -> list[tuple[int, int, int]]:
        """As Counts answers."""
        self._check()
        return [
            (start, words.total(), len(words))
            for start, words in sorted(self.counts.items(), reverse=True)
        ]

    async def all(self) -> dict[str, Any]:
        """As WorkersStatus answers, once a frame."""
        self.frames += 1
        return {"workers": [], "silent": []}

    def others(self) -> list[str]:
        """There is no other worker."""
        return []

    def since(self, _: int) -> list[Any]:
        """There are no rates."""
        return []

    def _bounds(self, start: int) -> dict[str, Any]:
        length = self._settings.window_ms
        return {"start": iso(start), "end": None if length is None else iso(start + length)}

    def _check(self) -> None:
        if self.away:
            raise NotServingError("a rebalance is under way")

    @web.middleware
    async def _record(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        self.requests.append((time.monotonic(), request.path_qs))
        return await handler(request)
