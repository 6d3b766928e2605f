"""The web of a worker whose counts a test makes up: weeks of windows, clocks that are ahead."""

from __future__ import annotations

import time
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web
from aiohttp.test_utils import TestServer

from app.counting.text import as_counted
from app.queries.merge import NotServingError
from app.queries.rates import Rates
from app.settings import Settings
from app.times import iso
from app.web.events import Feed
from app.web.page import Page
from app.web.page_feed import Live
from app.web.views import Views, errors_as_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["ScriptedWorker"]


class ScriptedWorker:
    """The page, its events and its questions as of a real worker, on `counts`.

    `counts` are words by window start (ms), `newest` the start of the window that is told as such,
    by default the last; while `away` there is no answer. `asked` are the questions so far, each
    with its time (monotonic), `frames` how many states have been sent. `settings` are WORDCOUNT_
    settings, by their names in lower case.
    """

    def __init__(self, counts: dict[int, dict[str, int]], **settings: str) -> None:
        self.counts = {start: Counter(words) for start, words in counts.items()}
        self.newest = max(counts)
        self.away = False
        self.asked: list[tuple[float, str]] = []
        self.frames = 0
        self._settings = Settings.read({f"WORDCOUNT_{k.upper()}": v for k, v in settings.items()})
        parts: Any = self
        app: Any = SimpleNamespace(
            settings=self._settings, conf=SimpleNamespace(canonical_url="http://scripted")
        )
        rates = Rates(lambda: (0.0, 0.0))
        live = Live(app, rates, parts, parts, parts)
        self._feed = Feed(live.produce, live.greet)
        served = web.Application(middlewares=[errors_as_json, self._note])
        served.add_routes(Views(parts, parts, parts, parts, parts).routes())
        served.add_routes(Page(self._settings, self._feed, rates).routes())
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
        """Its address."""
        return str(self._server.make_url("")).rstrip("/")

    def times_of(self, path: str) -> list[float]:
        """When questions that begin so were asked."""
        return [moment for moment, asked in self.asked if asked.startswith(path)]

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
        answer = {"window": {**self._span(start), "final": False}, "words": top}
        return answer, (words.total(), len(words))

    async def word(self, word: str) -> dict[str, Any]:
        """As Counts answers."""
        self._check()
        word = as_counted(word, self._settings.words)
        found = [
            {**self._span(start), "count": words[word]}
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
        """As Status answers, once a frame."""
        self.frames += 1
        return {"workers": [], "silent": []}

    def others(self) -> list[str]:
        """It is alone."""
        return []

    def since(self, _: int) -> list[Any]:
        """It has counted nothing in the last minutes."""
        return []

    def _span(self, start: int) -> dict[str, Any]:
        length = self._settings.window_ms
        return {"start": iso(start), "end": None if length is None else iso(start + length)}

    def _check(self) -> None:
        if self.away:
            raise NotServingError("a rebalance is under way")

    @web.middleware
    async def _note(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        self.asked.append((time.monotonic(), request.path_qs))
        return await handler(request)
