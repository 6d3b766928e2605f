"""What the live page shows, put together once a second for all pages at once.

event `hello`    first: the settings that the page needs, and the rates of the last minutes
event `windows`  when there is another window: all of them, with their totals
event `state`    each second: top words, workers, the newest rates
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from app.queries.merge import NotServingError
from app.queries.rates import KEPT_SECONDS, Rate, Rates, sum_rates
from app.web.events import Frame, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.queries.counts import Counts
    from app.queries.peers import Peers
    from app.queries.status import Status
    from app.worker.application import Application

__all__ = ["SHOWN_CHARACTERS", "TOP_WORDS", "PageFeed"]

TOP_WORDS = 20
"""Words of the newest window that pages are sent."""

SHOWN_CHARACTERS = 200
"""Longest word that is sent whole; the page asks for the whole of a longer one when it needs it."""

MOST_WINDOWS = 3000
"""Most windows that the page's picker is sent, newest first; it asks for older ones by time."""

SETTLED_SECONDS = 2
"""How old a second is when all workers have told what they did in it."""

OVERLAP_SECONDS = 8
"""How many seconds each frame repeats: a page that skips a few frames misses nothing."""

FRESH_SECONDS = 0.5
"""How long the other workers' rates are not asked for again."""

WINDOWS_SECONDS = 15.0
"""How often the windows' totals are told anew while no window begins."""


class PageFeed:
    """Makes the frames of `app.web.events.Feed`; `rates` are this worker's own."""

    def __init__(
        self, app: Application, rates: Rates, counts: Counts, status: Status, peers: Peers
    ) -> None:
        self._app = app
        self._rates = rates
        self._counts = counts
        self._status = status
        self._peers = peers
        self._by_worker: dict[str, dict[int, Rate]] = {}
        self._learning = asyncio.Lock()
        self._learned = float("-inf")
        self._newest: str | None = None
        self._windows: list[tuple[int, int, int]] = []
        self._told = float("-inf")
        self._id = 0

    async def greet(self, last: int) -> bytes:
        """What a page is sent first: whoever had frames up to `last` needs no older rates."""
        await self._learn_rates()
        since = last // 1000 - OVERLAP_SECONDS if last else 0
        settings = self._app.settings
        hello = {
            "id": settings.id,
            "topic": settings.lines,
            "table": f"{settings.keyspace}.{settings.table}",
            "words": settings.words,
            "window_ms": settings.window_ms,
            "hop_ms": settings.hop_ms,
            "retention_ms": settings.retention_ms,
            "flush_ms": settings.flush_interval_ms,
            "kept_seconds": KEPT_SECONDS,
            "rates": self._summed(since),
        }
        greeting = encode("hello", hello)
        return greeting + self._encoded_windows() if self._windows else greeting

    async def produce(self) -> Frame:
        """Make the next frame: the state of this second, and the windows if there is a new one."""
        top, status, _ = await asyncio.gather(self._top(), self._status.all(), self._learn_rates())
        self._id = max(self._id + 1, time.time_ns() // 1_000_000)
        content = await self._windows_if_changed(top.get("window"))
        since = self._id // 1000 - SETTLED_SECONDS - OVERLAP_SECONDS
        state = {"at": self._id, **top, "status": status, "rates": self._summed(since)}
        return Frame(self._id, content + encode("state", state, self._id))

    async def _top(self) -> dict[str, Any]:
        """Top words as (word, count, characters if it was cut); or why there are none now."""
        try:
            answer, (words, distinct) = await self._counts.top_and_totals(TOP_WORDS)
        except NotServingError as error:
            return {"window": None, "top": None, "reason": str(error)}
        return {
            "window": answer["window"],
            "words": words,
            "distinct": distinct,
            "top": [_shown(item["word"], item["count"]) for item in answer["words"]],
        }

    async def _windows_if_changed(self, window: dict[str, Any] | None) -> bytes:
        start, now = None if window is None else window["start"], time.monotonic()
        if start is None or (start == self._newest and now - self._told < WINDOWS_SECONDS):
            return b""
        try:
            self._windows = (await self._counts.totals())[:MOST_WINDOWS]
        except NotServingError:
            return b""
        self._newest, self._told = start, now
        return self._encoded_windows()

    def _encoded_windows(self) -> bytes:
        return encode("windows", {"windows": self._windows})

    async def _learn_rates(self) -> None:
        """Ask the other workers for what they have done since they last told."""
        # A hundred pages that come back at once ask once.
        async with self._learning:
            if time.monotonic() - self._learned > FRESH_SECONDS:
                await self._ask_all_rates()
                self._learned = time.monotonic()

    async def _ask_all_rates(self) -> None:
        asked = self._peers.others()
        own = str(self._app.conf.canonical_url)
        self._take(own, self._rates.since(self._last(own)))
        answers = await asyncio.gather(*map(self._ask_rates, asked))
        for url, rates in zip(asked, answers, strict=True):
            self._take(url, rates)

    async def _ask_rates(self, url: str) -> list[Rate]:
        try:
            query = {"since": str(self._last(url))}
            answer = await self._peers.ask(url, "api/local/rates", query)
        except NotServingError:
            return []  # the state says so
        if answer["id"] != self._app.settings.id:
            return []
        return [Rate(*rate) for rate in answer["rates"]]

    def _last(self, url: str) -> int:
        return max(self._by_worker.get(url, ()), default=0)

    def _take(self, url: str, rates: Sequence[Rate]) -> None:
        oldest = int(time.time()) - KEPT_SECONDS
        known = {**self._by_worker.get(url, {}), **{rate.second: rate for rate in rates}}
        self._by_worker[url] = {s: rate for s, rate in known.items() if s > oldest}
        if not self._by_worker[url]:
            del self._by_worker[url]

    def _summed(self, since: int) -> list[tuple[int, float, float]]:
        until = int(time.time()) - SETTLED_SECONDS
        wanted = (
            [rate for second, rate in rates.items() if since < second <= until]
            for rates in self._by_worker.values()
        )
        return [
            (second, round(lines, 1), round(words, 1)) for second, lines, words in sum_rates(wanted)
        ]


def _shown(word: str, count: int) -> tuple[str, int] | tuple[str, int, int]:
    if len(word) <= SHOWN_CHARACTERS:
        return word, count
    return word[:SHOWN_CHARACTERS], count, len(word)
