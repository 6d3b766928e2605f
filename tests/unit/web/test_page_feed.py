"""The frames of the page: composed from the counts, the status and the rates of all workers."""

from __future__ import annotations

import asyncio
import json
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.queries import worker_rates
from app.queries.merge import NotServingError
from app.queries.rates import Rate
from app.settings import Settings
from app.web import page_feed as module
from app.web.page_feed import SHOWN_CHARACTERS, PageFeed

NOW = 1_795_000_000
OWN, OTHER = "http://a:1", "http://b:2"


class Fake:
    """Stands for the counts, the status, the rates and the peers of a worker."""

    def __init__(self) -> None:
        self.words: list[tuple[str, int]] = [("the", 3)]
        self.start = "2026-11-22T21:40:00Z"
        self.windows = [(60_000, 5, 2), (0, 9, 4)]
        self.serving = True
        self.own = [Rate(NOW - 5, 1, 10), Rate(NOW - 4, 2, 20)]
        self.other: Any = [[NOW - 4, 5, 50]]
        self.requested: list[str] = []
        self.own_url = OWN
        settings, parts = Settings.read({}), cast("Any", self)
        rates = worker_rates.WorkerRates(settings.id, parts, parts)
        self.page_feed = PageFeed(settings, parts, parts, rates)

    def since(self, second: int) -> list[Rate]:
        """This worker's rates."""
        return [rate for rate in self.own if rate.second > second]

    async def top_and_totals(self, n: int) -> tuple[dict[str, Any], tuple[int, int]]:
        """Top words."""
        self._check()
        words = [{"word": word, "count": count} for word, count in self.words[:n]]
        return {"window": {"start": self.start}, "words": words}, (5, 2)

    async def totals(self) -> list[tuple[int, int, int]]:
        """All windows."""
        self._check()
        return self.windows

    async def all(self) -> dict[str, Any]:
        """The state of all workers."""
        return {"workers": [], "silent": []}

    def others(self) -> list[str]:
        """The other workers."""
        return [OTHER]

    async def ask(self, url: str, path: str, query: dict[str, str]) -> dict[str, Any]:
        """Another worker's rates."""
        self.requested.append(f"{url}/{path}?since={query['since']}")
        if self.other is None:
            raise NotServingError("the worker does not answer")
        return {"id": "wordcount", "rates": self.other}

    def _check(self) -> None:
        if not self.serving:
            raise NotServingError("a rebalance is under way")

    async def frame(self) -> dict[str, Any]:
        """The next frame, by event."""
        return _events((await self.page_feed.produce()).content)


def _events(content: bytes) -> dict[str, Any]:
    found = {}
    for event in content.decode().strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in event.split("\n"))
        found[fields["event"]] = json.loads(fields["data"])
    return found


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    monkeypatch.setattr(worker_rates, "FRESH_SECONDS", 0.0)
    clock = SimpleNamespace(time=lambda: NOW, time_ns=lambda: NOW * 10**9, monotonic=time.monotonic)
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(worker_rates, "time", clock)
    return Fake()


async def test_a_frame_holds_the_top_words_and_the_state(fake: Fake) -> None:
    """A frame has the words, the window and its totals, the workers and the newest rates."""
    state = (await fake.frame())["state"]
    assert state["top"] == [["the", 3]]
    assert (state["window"]["start"], state["words"], state["distinct"]) == (fake.start, 5, 2)
    assert state["rates"] == [[NOW - 5, 1, 10], [NOW - 4, 7, 70]]
    assert state["status"] == {"workers": [], "silent": []}


async def test_a_long_word_is_sent_as_its_beginning(fake: Fake) -> None:
    """A word of 60 kB would be sent each second to each page, so only its length is added."""
    fake.words = [("x" * SHOWN_CHARACTERS, 2), ("y" * 60_000, 1)]
    frame = await fake.page_feed.produce()
    assert _events(frame.content)["state"]["top"] == [
        ["x" * SHOWN_CHARACTERS, 2],
        ["y" * SHOWN_CHARACTERS, 1, 60_000],
    ]
    assert len(frame.content) < 2000


async def test_windows_are_sent_when_a_window_begins(fake: Fake) -> None:
    """They are not sent each second; their number is limited; a new page gets them at once."""
    assert (await fake.frame())["windows"] == {"windows": [[60_000, 5, 2], [0, 9, 4]]}
    assert "windows" not in await fake.frame()
    fake.start = "2026-11-22T21:41:00Z"
    fake.windows = [(start, 1, 1) for start in range(module.MAX_WINDOWS + 5)]
    assert len((await fake.frame())["windows"]["windows"]) == module.MAX_WINDOWS
    assert "windows" in _events(await fake.page_feed.greet(0))


async def test_without_a_right_answer_the_frame_has_the_reason(fake: Fake) -> None:
    """A rebalance does not end the stream: the state is sent without words."""
    fake.serving = False
    state = (await fake.frame())["state"]
    assert (state["top"], state["window"]) == (None, None)
    assert state["reason"] == "a rebalance is under way"


async def test_a_worker_that_does_not_answer_is_left_out(fake: Fake) -> None:
    """Once it answers again, the missing seconds are fetched."""
    fake.other = None
    assert (await fake.frame())["state"]["rates"] == [[NOW - 5, 1, 10], [NOW - 4, 2, 20]]
    fake.other = [[NOW - 5, 4, 40], [NOW - 4, 5, 50]]
    assert (await fake.frame())["state"]["rates"] == [[NOW - 5, 5, 50], [NOW - 4, 7, 70]]
    await fake.frame()
    assert fake.requested[-1] == f"{OTHER}/api/local/rates?since={NOW - 4}"


async def test_ids_grow_even_when_the_clock_does_not(fake: Fake) -> None:
    """A page reconnects with its last id, so two frames must not share one."""
    ids = [(await fake.page_feed.produce()).id for _ in range(3)]
    assert ids == sorted(set(ids))


async def test_a_page_that_reconnects_gets_only_newer_rates(fake: Fake) -> None:
    """A new page gets all rates that are kept."""
    fake.own = [Rate(NOW - 300, 9, 9), *fake.own]
    fake.other = []
    hello = _events(await fake.page_feed.greet(0))["hello"]
    assert hello["rates"][0] == [NOW - 300, 9, 9]
    again = _events(await fake.page_feed.greet((NOW - 3) * 1000))["hello"]
    assert again["rates"] == [[NOW - 5, 1, 10], [NOW - 4, 2, 20]]


async def test_many_pages_at_once_cause_one_request_to_each_worker(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart all pages reconnect within the same second."""
    monkeypatch.setattr(worker_rates, "FRESH_SECONDS", 5.0)
    await asyncio.gather(*(fake.page_feed.greet(0) for _ in range(100)))
    assert len(fake.requested) == 1
