"""The live page with weeks of windows, with gaps between them and with wrong clocks."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.browser.scripted import ScriptedWorker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.browser.pages import LivePage

    OpenPage = Callable[..., Awaitable[LivePage]]

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINUTE = 60_000
DAY = 1440 * MINUTE
NOW = time.time_ns() // 1_000_000 // MINUTE * MINUTE
"""The present minute's start."""

SLIDE = """places => {
    const slider = document.getElementById('slider');
    for (const place of places) {
        slider.value = place;
        slider.dispatchEvent(new Event('input'));
    }
}"""


def ms(year: int, month: int, day: int, hour: int, minute: int = 0) -> int:
    """Milliseconds since the epoch of a time in UTC."""
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) * 1000


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition is true."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def minutes(*ago: int) -> dict[int, dict[str, int]]:
    """Windows of so many minutes ago, each with a word of its own."""
    return {NOW - n * MINUTE: {f"w{n}": 1} for n in ago}


async def test_a_dragged_slider_fetches_only_the_window_where_it_rests(open_page: OpenPage) -> None:
    """Each window that it passes could cost every worker a scan."""
    async with ScriptedWorker(minutes(*range(60))) as worker:
        page = await open_page(worker.url)
        await page.page.evaluate(SLIDE, list(range(50, 5, -1)))
        await page.until_bars(("w53", 1))
        assert len(worker.times_of("/api/top")) == 1


def _fetched_thrice(worker: ScriptedWorker, path: str) -> bool:
    return len(worker.times_of(path)) > 2


async def test_a_window_that_is_picked_again_is_fetched_once_at_a_time(open_page: OpenPage) -> None:
    """Quick changes away and back cause one request each two seconds, for a window and a word."""
    async with ScriptedWorker(minutes(0, 1, 2)) as worker:
        page = await open_page(worker.url)
        await page.page.evaluate(SLIDE, [0, 2, 0, 1, 0])
        await page.until_bars(("w2", 1))
        await page.page.evaluate(
            "words => { for (const word of words) {"
            "document.getElementById('query').value = word;"
            "document.getElementById('search').requestSubmit(); } }",
            ["w2", "w1", "w2"],
        )
        for path in ("/api/top", "/api/words?word=w2"):
            await until(partial(_fetched_thrice, worker, path))
            first, _, third, *_ = worker.times_of(path)
            assert third - first > 3


async def test_a_hidden_page_sends_no_requests(open_page: OpenPage) -> None:
    """It fetches neither the picked window nor the word, and resumes once it is visible."""
    hide = "is => Object.defineProperty(document, 'hidden', {value: is, configurable: true})"
    async with ScriptedWorker(minutes(0, 1)) as worker:
        page = await open_page(worker.url, f"/#window={NOW - MINUTE}&word=w1")
        await page.until_summary("w1", "In one window: 1 times.")
        await page.until_bars(("w1", 1))
        await page.page.evaluate(hide, True)
        frames = worker.frames
        await until(lambda: worker.frames > frames)  # what was under way has come
        requests, frames = len(worker.requests), worker.frames
        await until(lambda: worker.frames >= frames + 5)
        assert len(worker.requests) == requests
        await page.page.evaluate(hide, False)
        await until(lambda: len(worker.requests) >= requests + 2)


async def test_from_a_gap_the_buttons_pick_its_neighbours(open_page: OpenPage) -> None:
    """Older and newer pick the nearest existing windows."""
    async with ScriptedWorker(minutes(0, 1, 5, 9)) as worker:
        page = await open_page(worker.url, timezone_id="UTC")
        for button, ago, word in (
            ("Older window", 7, "w9"),
            ("Newer window", 7, "w5"),
            ("Older window", 3, "w5"),
            ("Newer window", 3, "w1"),
            ("Newer window", 30, "w9"),
        ):
            moment = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(NOW / 1000 - ago * 60))
            await page.page.get_by_label("Go to").fill(moment)
            await page.page.get_by_text("No words in this window").wait_for()
            await page.page.get_by_role("button", name=button).click()
            await page.until_bars((word, 1))
        assert await page.page.get_by_role("button", name="Older window").is_disabled()


async def test_a_window_of_the_future_is_not_the_live_one(open_page: OpenPage) -> None:
    """A clock that is ahead creates a window, and the live window stays the present one."""
    ahead = NOW + 300 * DAY
    counts = {NOW - MINUTE: {"is": 2, "was": 1}, NOW: {"is": 3}, ahead: {"odd": 2, "is": 1}}
    async with ScriptedWorker(counts) as worker:
        worker.newest = NOW
        page = await open_page(worker.url)
        slider = page.page.get_by_role("slider")
        assert "3 words" in str(await slider.get_attribute("aria-valuetext"))
        assert await slider.input_value() == "1"
        await page.page.get_by_role("button", name="Older window").click()
        await page.until_bars(("is", 2), ("was", 1))
        await page.page.get_by_role("button", name="Newer window").click()
        await page.until_bars(("is", 3))
        assert "window=" not in page.page.url
        await page.bar("is").click()
        label = "document.getElementById('word-plot').ariaLabel"
        await page.until(f"() => {label}.includes('Newest: 3 in')")
        await slider.press("End")
        await page.until_bars(("odd", 2), ("is", 1))
        assert f"window={ahead}" in page.page.url


@pytest.mark.parametrize(
    ("length", "start", "shown"),
    [
        ("24h", ms(2025, 11, 20, 0), "Nov 20, 2025, 01:00 - Nov 21, 2025, 01:00"),
        ("1h", ms(2025, 11, 20, 9), "Nov 20, 2025, 10:00-11:00"),
        ("1m", ms(2025, 10, 26, 0, 10), "Oct 26, 2025, 02:10 GMT+2-02:11 GMT+2"),
        ("1m", ms(2025, 10, 26, 1, 10), "Oct 26, 2025, 02:10 GMT+1-02:11 GMT+1"),
        ("1m", ms(2025, 10, 26, 1, 59), "Oct 26, 2025, 02:59 GMT+1-03:00"),
        ("1m", ms(2025, 3, 30, 1, 30), "Mar 30, 2025, 03:30-03:31"),
    ],
)
async def test_no_two_windows_look_alike(
    open_page: OpenPage, length: str, start: int, shown: str
) -> None:
    """A window that ends on another day has that date; an ambiguous hour has its offset."""
    async with ScriptedWorker({start: {"word": 1}}, window=length, retention="720h") as worker:
        page = await open_page(worker.url, timezone_id="Europe/Berlin", locale="en-US")
        note = f"{shown} · 1 words".replace("-", "\N{EN DASH}")
        await page.page.locator("#top-note").get_by_text(note).wait_for()


async def test_an_axis_over_days_has_their_dates(open_page: OpenPage) -> None:
    """The mark where a day begins is its date."""
    async with ScriptedWorker(minutes(0)) as worker:
        page = await open_page(worker.url, timezone_id="Europe/Berlin", locale="en-US")
        marks = await page.page.evaluate(
            "async times => times.map((await import('/static/format.js')).mark)",
            [ms(2026, 11, 20, 22), ms(2026, 11, 20, 23), ms(2026, 11, 21, 2)],
        )
        assert marks == ["23:00", "Nov 21", "03:00"]


async def test_a_long_word_of_rare_characters_is_opened(open_page: OpenPage) -> None:
    """Characters beyond the first 65,536 count as one, here as on the worker."""
    long, short = "\N{GOTHIC LETTER AHSA}" * 250, "\N{GOTHIC LETTER BAIRKAN}" * 150
    async with ScriptedWorker({NOW - MINUTE: {long: 1}, NOW: {long: 3, short: 2}}) as worker:
        page = await open_page(worker.url)
        beginning = long[:200] + "… (250 characters)"
        await page.until_bars((beginning, 3), (short, 2))
        await page.page.get_by_role("button", name="Older window").click()
        await page.until_bars((beginning, 1))
        await page.bar(beginning).click()
        await page.page.locator("#word-table tbody tr").nth(1).wait_for()
        assert await page.bar(beginning).get_attribute("aria-current") == "true"
        assert (await page.text("#word-title")) == long[:120] + "… (250 characters)"


async def test_a_shown_total_stays_while_there_is_no_answer(open_page: OpenPage) -> None:
    """Without windows there is no table, and the number stays."""
    async with ScriptedWorker({0: {"river": 5}}, window="none") as worker:
        page = await open_page(worker.url, "/#word=river")
        await page.until_summary("river", "5 times so far.")
        worker.away = True
        requests = len(worker.times_of("/api/words"))
        await until(lambda: len(worker.times_of("/api/words")) >= requests + 2)
        await page.until_summary("river", "5 times so far.")
        worker.away, worker.counts[0]["river"] = False, 6
        await page.until_summary("river", "6 times so far.")
        assert all("status of 503" in alarm for alarm in page.alarms)
        page.alarms.clear()


async def test_a_word_is_shown_as_it_is_counted(open_page: OpenPage) -> None:
    """The worker case-folds the word; title, address and bars show the folded word."""
    async with ScriptedWorker({NOW: {"strasse": 2, "the": 1}}, words="unicode") as worker:
        page = await open_page(worker.url)
        await page.page.get_by_role("searchbox").fill("Straße")
        await page.page.keyboard.press("Enter")
        await page.until_summary("strasse", "In one window: 2 times.")
        assert page.page.url.endswith("#word=strasse")
        assert await page.bar("strasse").get_attribute("aria-current") == "true"
        await page.page.get_by_role("searchbox").fill("Nowhere")
        await page.page.keyboard.press("Enter")
        await page.until_summary("nowhere", "The word does not occur in any stored window.")
