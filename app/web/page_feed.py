"""Composes the events of the live page once a second, for all open pages at once.

event `hello`    first: the settings that the page needs, and the rates of the last minutes
event `windows`  when a window begins, and every WINDOWS_SECONDS: all windows with their totals
event `state`    each second: top words, workers, the newest rates
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from app.queries.merge import NotServingError
from app.queries.rates import KEPT_SECONDS
from app.queries.worker_rates import SETTLED_SECONDS
from app.web.events import Frame, encode

if TYPE_CHECKING:
    from app.queries.counts import Counts
    from app.queries.status import WorkersStatus
    from app.queries.worker_rates import WorkerRates
    from app.settings import Settings

__all__ = ["SHOWN_CHARACTERS", "TOP_WORDS", "PageFeed"]

TOP_WORDS = 20
"""Number of words of the newest window in each frame."""

SHOWN_CHARACTERS = 200
"""Longest word that a frame has whole; the page fetches a longer one when it needs it."""

MAX_WINDOWS = 3000
"""Maximum number of windows in the page's picker, the newest; it finds older ones by time."""

OVERLAP_SECONDS = 8
"""Seconds of rates that each frame repeats, so that a page may skip a few frames."""

WINDOWS_SECONDS = 15.0
"""Time between two sendings of the windows' totals while no window begins."""


class PageFeed:
    """Composes the frames of `app.web.events.Feed`."""

    def __init__(
        self, settings: Settings, counts: Counts, status: WorkersStatus, rates: WorkerRates
    ) -> None:
        self._settings = settings
        self._counts = counts
        self._status = status
        self._rates = rates
        self._newest: str | None = None
        self._windows: list[tuple[int, int, int]] = []
        self._windows_sent_at = float("-inf")
        self._id = 0

    async def greet(self, last: int) -> bytes:
        """The first events of a page; one that had frames up to `last` gets only newer rates."""
        await self._rates.refresh()
        since = last // 1000 - OVERLAP_SECONDS if last else 0
        settings = self._settings
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
            "rates": self._rates.since(since),
        }
        greeting = encode("hello", hello)
        return greeting + self._encoded_windows() if self._windows else greeting

    async def produce(self) -> Frame:
        """The next frame: the state of this second, and the windows if one has begun."""
        top, status, _ = await asyncio.gather(
            self._top(), self._status.all(), self._rates.refresh()
        )
        # Ids are times in ms, so a page that reconnects to another worker keeps its place.
        self._id = max(self._id + 1, time.time_ns() // 1_000_000)
        content = await self._windows_if_due(top.get("window"))
        since = self._id // 1000 - SETTLED_SECONDS - OVERLAP_SECONDS
        state = {"at": self._id, **top, "status": status, "rates": self._rates.since(since)}
        return Frame(self._id, content + encode("state", state, self._id))

    async def _top(self) -> dict[str, Any]:
        """Top words as (word, count, length if the word is cut), or the reason for none."""
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

    async def _windows_if_due(self, window: dict[str, Any] | None) -> bytes:
        start, now = None if window is None else window["start"], time.monotonic()
        recent = now - self._windows_sent_at < WINDOWS_SECONDS
        if start is None or (start == self._newest and recent):
            return b""
        try:
            self._windows = (await self._counts.totals())[:MAX_WINDOWS]
        except NotServingError:
            return b""
        self._newest, self._windows_sent_at = start, now
        return self._encoded_windows()

    def _encoded_windows(self) -> bytes:
        return encode("windows", {"windows": self._windows})


def _shown(word: str, count: int) -> tuple[str, int] | tuple[str, int, int]:
    if len(word) <= SHOWN_CHARACTERS:
        return word, count
    return word[:SHOWN_CHARACTERS], count, len(word)
