"""The live page of a worker that counts, in a real browser."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.browser.pages import PHONE, LivePage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    OpenPage = Callable[..., Awaitable[LivePage]]

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR = 3_600_000
TOKEN = "a-token-of-the-page-s-tests"  # noqa: S105 - a test's own
ENTER = f"/?token={TOKEN}"

HOSTILE = {
    "<script>alert(1)</script>": "<script>alert(1)</script>",
    "<img/src=x/onerror=alert(1)>": "<img/src=x/onerror=alert(1)>",
    "\u202eturned\u2066": "\\u202eturned\\u2066",
    "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{ROCKET}": "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{ROCKET}",
    "שלום": "שלום",
    "e" + "\u0301" * 40: "e" + "\u0301" * 40,
    "x" * 60_000: "x" * 200 + "… (60,000 characters)",
}
"""Words, and the texts that the page must show for them."""


class Counted:
    """A worker with a token, and two windows of text: an older one and the newest."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream.configure(
            web_token=TOKEN, window="1h", grace="1h", print=0, partitions=2
        )
        self.worker = stream.start()
        # Not the present hour, which might end while the tests run.
        self.newest = (time.time_ns() // 1_000_000 // HOUR - 2) * HOUR
        self.older = self.newest - HOUR

    async def count(self, words: dict[str, int], start: int | None = None) -> None:
        """Let the worker count words in a window, the newest by default."""
        at = self.newest if start is None else start
        times = max(words.values())
        lines = [" ".join(w for w, n in words.items() if n > turn) for turn in range(times)]
        await self.stream.produce((line, at + turn) for turn, line in enumerate(lines))


@pytest.fixture
def empty(chromium: str, new_stream: Callable[[str], Any], unique: str) -> Iterator[Counted]:
    """A worker before the first line, for this test alone."""
    assert chromium
    stream = new_stream(unique)
    yield Counted(stream)
    stream.close()


NEWEST = {"river": 5, "stone": 4, "leaf": 2}


def count_some(empty: Counted, more: dict[str, int] | None = None) -> Counted:
    """Let a worker count some words in each window, and `more` in the newest."""
    newest = NEWEST | (more or {})
    asyncio.run(empty.count({"past": 7, "river": 3}, empty.older))
    asyncio.run(empty.count(newest))

    def has_all() -> bool:
        answer = empty.worker.json("/api/top")
        return bool(answer) and {w["word"]: w["count"] for w in answer["words"]} == newest

    empty.worker.wait_until(has_all)
    return empty


@pytest.fixture(scope="module")
def counted(chromium: str, new_stream: Callable[[str], Any]) -> Iterator[Counted]:
    """A worker with some words in each window; no test may change its counts."""
    assert chromium
    stream = new_stream(f"browser_page_{uuid.uuid4().hex[:8]}")
    yield count_some(Counted(stream))
    stream.close()


@pytest.fixture(scope="module")
def hostile(chromium: str, new_stream: Callable[[str], Any]) -> Iterator[Counted]:
    """A worker whose top words are hostile; no test may change its counts."""
    assert chromium
    stream = new_stream(f"browser_page_{uuid.uuid4().hex[:8]}")
    yield count_some(Counted(stream), dict.fromkeys(HOSTILE, 30))
    stream.close()


@pytest.fixture
def own(empty: Counted) -> Counted:
    """A worker with some words in each window, for a test that lets it count more."""
    return count_some(empty)


async def test_before_the_first_line_the_page_names_a_command(
    empty: Counted, open_page: OpenPage
) -> None:
    """The empty page names the topic and a command that fills it, and is accessible."""
    page = await open_page(empty.worker.url, ENTER)
    assert "Waiting for the first line" in await page.text("#empty")
    assert "faust -A app produce" in await page.text("#empty")
    assert empty.stream.lines in await page.text("#empty")
    assert await page.bars() == []
    assert await page.faults() == []


async def test_the_page_asks_for_the_token(counted: Counted, open_page: OpenPage) -> None:
    """Without a token the page shows a form; it rejects a wrong token and accepts the right one."""
    context = (await open_page(counted.worker.url, ENTER)).page.context
    await context.clear_cookies()
    page = LivePage(await context.new_page(), counted.worker.url)
    await page.page.goto(counted.worker.url)
    await page.page.get_by_role("textbox", name="Token").fill("not this one")
    await page.page.get_by_role("button", name="Show the page").click()
    await page.page.get_by_text("That token is wrong").wait_for()
    assert await page.faults() == []
    await page.page.get_by_role("textbox", name="Token").fill(TOKEN)
    await page.page.get_by_role("button", name="Show the page").click()
    await page.is_live()
    assert TOKEN not in page.page.url
    await context.clear_cookies()
    await page.page.reload()
    await page.page.get_by_role("textbox", name="Token").wait_for()
    assert await page.page.get_by_text("That token is wrong").is_hidden()


async def test_bars_are_the_top_words(counted: Counted, open_page: OpenPage) -> None:
    """The bars show the words and counts of /api/top, and the note the window's totals."""
    page = await open_page(counted.worker.url, ENTER)
    expected = [(w["word"], w["count"]) for w in counted.worker.json("/api/top")["words"]]
    assert len(expected) >= 3
    await page.until_bars(*expected)
    # Lengths are animated to their final values.
    await page.until(
        "() => { const [first, second] = [...document.querySelectorAll('.fill')]"
        ".map(bar => bar.getBoundingClientRect().width);"
        "return first > 50 && Math.abs(second / first - 0.8) < 0.02; }"
    )
    assert "11 words, 3 distinct" in await page.text("#top-note")


async def test_bars_move_without_a_reload(own: Counted, open_page: OpenPage) -> None:
    """New counts appear without a reload, and bars move to their new places."""
    page = await open_page(own.worker.url, ENTER)
    await page.until_bars(("river", 5), ("stone", 4), ("leaf", 2))
    await page.page.evaluate(
        "() => { window.moved = 0; const animate = Element.prototype.animate;"
        "Element.prototype.animate = function (frames, ...rest) {"
        "if (frames.transform) window.moved += 1; return animate.call(this, frames, ...rest); } }"
    )
    await own.count({"leaf": 6, "moss": 6})
    await page.until_bars(("leaf", 8), ("moss", 6), ("river", 5), ("stone", 4))
    assert await page.page.evaluate("window.moved") > 0
    assert not await page.was_reloaded()
    await page.until("() => document.getElementById('lag').textContent === '0'")


async def test_a_word_is_looked_up(own: Counted, open_page: OpenPage) -> None:
    """A click on a bar, or a search, shows the word's windows, which grow with new counts."""
    page = await open_page(own.worker.url, ENTER)
    await page.bar("river").click()
    table = page.page.locator("#word-table tbody tr")
    await table.nth(1).wait_for()
    counts = [row.split()[-1] for row in await table.all_inner_texts()]
    assert counts == ["5", "3"]
    assert await page.bar("river").get_attribute("aria-current") == "true"
    await own.count({"river": 1})
    await table.first.get_by_text("6", exact=True).wait_for()

    await page.page.get_by_role("searchbox").fill("past")
    await page.page.keyboard.press("Enter")
    await page.page.get_by_text("In one window: 7 times.").wait_for()
    await page.page.get_by_role("searchbox").fill("nowhere")
    await page.page.get_by_role("button", name="Look up").click()
    await page.page.get_by_text("The word does not occur in any stored window").wait_for()


async def test_windows_of_the_past_are_picked(counted: Counted, open_page: OpenPage) -> None:
    """Button, slider and time pick a window; the address names it, and Live returns."""
    page = await open_page(counted.worker.url, ENTER, timezone_id="UTC")
    first = (await page.bars())[0]
    await page.page.get_by_role("button", name="Older window").click()
    await page.until_bars(("past", 7), ("river", 3))
    assert f"window={counted.older}" in page.page.url
    await page.page.get_by_role("button", name="Live").click()
    await page.until_bars(first)

    await page.page.get_by_role("slider").press("ArrowLeft")
    await page.until_bars(("past", 7), ("river", 3))
    await page.page.get_by_role("slider").press("End")
    await page.until_bars(first)

    moment = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(counted.older / 1000 + 60))
    await page.page.get_by_label("Go to").fill(moment)
    await page.until_bars(("past", 7), ("river", 3))
    await page.page.get_by_label("Go to").fill("2001-01-01T00:00")
    await page.page.get_by_text("No words in this window").wait_for()

    await page.page.goto("about:blank")
    await page.page.goto(f"{counted.worker.url}/#window={counted.older}&word=river")
    await page.until_bars(("past", 7), ("river", 3))
    await page.page.locator("#word-table tbody tr").nth(1).wait_for()


async def test_words_are_text_and_nothing_else(hostile: Counted, open_page: OpenPage) -> None:
    """Markup, reversing marks, emoji, stacked accents and 60,000 letters are shown as text."""
    page = await open_page(hostile.worker.url, ENTER)
    scripts = await page.page.locator("script").count()
    await page.until(
        "words => words.every(word => [...document.querySelectorAll('#bars bdi')]"
        ".some(each => each.textContent === word))",
        list(HOSTILE.values()),
    )
    assert await page.page.locator("script").count() == scripts
    assert await page.page.locator("#bars img").count() == 0
    heights = await page.page.evaluate(
        "[...document.querySelectorAll('#bars li')].map(row => row.offsetHeight)"
    )
    assert max(heights) < 40
    assert not await page.is_too_wide()
    for word in ("<script>alert(1)</script>", "\u202eturned\u2066", "x" * 60_000):
        await page.bar(HOSTILE[word]).click()
        await page.until_summary(HOSTILE[word][:120], "In one window: 30 times.")
    assert not await page.is_too_wide()
    await page.page.goto("about:blank")
    await page.page.goto(f"{hostile.worker.url}/#word={quote('<script>alert(1)</script>')}")
    await page.until_summary("<script>alert(1)</script>", "In one window: 30 times.")


async def test_an_address_in_the_open_page_is_followed(
    counted: Counted, open_page: OpenPage
) -> None:
    """The page opens the window and word of the address, and closes others, without a reload."""
    page = await open_page(counted.worker.url, ENTER)
    first = (await page.bars())[0]
    await page.page.goto(f"{counted.worker.url}/#window={counted.older}&word=past")
    await page.until_bars(("past", 7), ("river", 3))
    await page.until_summary("past", "In one window: 7 times.")
    await page.page.goto(f"{counted.worker.url}/#window=none")
    await page.until_bars(first)
    assert await page.page.locator("#word").is_hidden()
    address = f"{counted.worker.url}/#window={counted.older}&word=river"
    await page.page.goto(address)
    await page.page.locator("#word-title").get_by_text("river", exact=True).wait_for()
    assert page.page.url == address
    assert not await page.was_reloaded()


async def test_a_late_answer_opens_no_other_word(own: Counted, open_page: OpenPage) -> None:
    """While the page fetches a long word, another chosen word stays open."""
    await own.count({"y" * 300: 40, "brief": 40})
    page = await open_page(own.worker.url, ENTER)
    release = asyncio.Event()

    async def hold(route: Any) -> None:
        await release.wait()
        await route.continue_()

    await page.page.route("**/api/top?*", hold)
    async with page.page.expect_request("**/api/top?*"):
        await page.bar("y" * 200 + "… (300 characters)").click()
    await page.bar("brief").click()
    await page.until_summary("brief", "In one window: 40 times.")
    async with page.page.expect_response("**/api/top?*"):
        release.set()
    await asyncio.sleep(0.5)
    await page.until_summary("brief", "In one window: 40 times.")
    assert page.page.url.endswith("#word=brief")


async def test_the_page_is_light_or_dark(counted: Counted, open_page: OpenPage) -> None:
    """The page follows the system's theme; the button overrides it, and the choice is stored."""
    paper = "getComputedStyle(document.body).backgroundColor"
    light = await open_page(counted.worker.url, ENTER, color_scheme="light")
    dark = await open_page(counted.worker.url, ENTER, color_scheme="dark")
    assert await light.page.evaluate(paper) == "rgb(246, 245, 242)"
    assert await dark.page.evaluate(paper) == "rgb(16, 18, 20)"
    await light.page.emulate_media(color_scheme="dark")
    await light.until(f"() => {paper} === 'rgb(16, 18, 20)'")  # the next frame reports it
    toggle = dark.page.get_by_role("button", name="Theme: auto")
    await toggle.click()
    assert await dark.page.evaluate(paper) == "rgb(246, 245, 242)"
    await dark.page.reload()
    assert await dark.page.evaluate(paper) == "rgb(246, 245, 242)"
    await dark.page.get_by_role("button", name="Theme: light").click()
    await dark.page.get_by_role("button", name="Theme: dark").wait_for()
    assert await dark.page.evaluate(paper) == "rgb(16, 18, 20)"


@pytest.mark.parametrize("width", [320, PHONE["width"]])
async def test_the_page_fits_a_phone(hostile: Counted, open_page: OpenPage, width: int) -> None:
    """Nothing is wider than the screen, and a tap scrolls to the word's history."""
    page = await open_page(
        hostile.worker.url, ENTER, viewport={**PHONE, "width": width}, has_touch=True
    )
    assert not await page.is_too_wide()
    await page.page.locator("#bars button").last.tap()
    await page.page.locator("#word-table").wait_for()
    assert not await page.is_too_wide()
    await page.until(
        "() => { const box = document.getElementById('word-title').getBoundingClientRect();"
        "return box.top >= 0 && box.bottom <= innerHeight; }"
    )


async def test_the_page_works_with_the_keyboard_alone(
    hostile: Counted, open_page: OpenPage
) -> None:
    """The keyboard reaches a word's history from the top, and Escape returns to the bar."""
    page = await open_page(hostile.worker.url, ENTER)
    keyboard = page.page.keyboard
    await keyboard.press("Tab")
    assert await page.focused() == "Skip to the top words"
    await keyboard.press("Enter")
    passed = []
    bar = "document.activeElement.closest('#bars') !== null"
    while not await page.page.evaluate(bar):
        await keyboard.press("Tab")
        passed.append(await page.focused())
        assert len(passed) < 20
    assert {"query", "slider", "live", "go"} <= set(passed)
    await keyboard.press("Tab")
    chosen = await page.focused()
    await keyboard.press("Enter")
    await page.until("() => document.activeElement.id === 'word-title'")
    await page.page.locator("#word-table").wait_for()
    await keyboard.press("Escape")
    assert await page.focused() == chosen
    assert await page.page.locator("#word").is_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", ["desktop", "phone"])
async def test_axe_finds_no_fault(
    hostile: Counted, open_page: OpenPage, scheme: str, device: str
) -> None:
    """Contrast, names, roles and order are right with every part open."""
    options = {"viewport": PHONE} if device == "phone" else {}
    page = await open_page(hostile.worker.url, ENTER, color_scheme=scheme, **options)
    await page.page.locator("#bars button").first.click()
    await page.page.locator("#word-table").wait_for()
    await page.page.locator("#rates-details summary").click()
    await page.until("() => document.getElementById('lines-plot').ariaLabel.includes('highest')")
    await page.until("() => document.getAnimations().length === 0")
    assert await page.faults() == []


async def test_late_and_rejected_messages_are_counted(own: Counted, open_page: OpenPage) -> None:
    """Late and rejected messages appear at once."""
    page = await open_page(own.worker.url, ENTER)
    assert await page.text("#late") == "0"
    await own.count({"tardy": 1}, own.newest - 10 * HOUR)
    await page.until("() => document.getElementById('late').textContent === '1'")
    assert await page.text("#rejected") == "0"


async def test_the_page_reconnects_to_its_worker(counted: Counted, open_page: OpenPage) -> None:
    """A worker stops without waiting for pages; they reconnect once it is back."""
    worker = counted.worker
    page = await open_page(worker.url, ENTER)
    before = await page.bars()
    began = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - began < 15
    await page.banner("The worker does not answer.")
    assert await page.text("#pill") == "Connection lost"
    assert await page.bars() == before
    assert await page.faults() == []
    worker.start()
    await page.until("() => document.getElementById('pill-text').textContent === 'Live'")
    await page.until_bars(*before)
    assert not await page.was_reloaded()
