"""A page in a real browser, and the parts of it that the tests read."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Self

from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Error

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Locator, Page

__all__ = ["DESKTOP", "PHONE", "LivePage"]

DESKTOP = {"width": 1360, "height": 900}
PHONE = {"width": 390, "height": 844}

DEADLINE_MS = 30_000
"""How long the page may take to show something, on a busy machine."""


class LivePage:
    """The live page of a worker. `alarms` are the errors in the browser; there must be none."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.alarms: list[str] = []
        page.set_default_timeout(DEADLINE_MS)
        page.on("pageerror", lambda error: self.alarms.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self.alarms.append(f"dialog: {dialog.message}"))
        page.on("console", self._on_console)
        page.on("request", self._on_request)

    @classmethod
    async def open(cls, context: BrowserContext, url: str, path: str = "/") -> Self:
        """Open the page and wait until it shows the worker's state."""
        made = cls(await context.new_page(), url)
        await made.page.goto(url + path)
        await made.page.evaluate("window.opened = true")
        await made.is_live()
        return made

    async def is_live(self) -> None:
        """Wait until the page has received a state from the worker."""
        # The element is missing while the form of the token redirects to the page.
        shown = "document.getElementById('lag')?.textContent ?? '\\u2013'"
        await self.until(f"({shown}) !== '\\u2013'")

    async def was_reloaded(self) -> bool:
        """Whether the page has been reloaded since it was opened."""
        found: bool = await self.page.evaluate("window.opened !== true")
        return found

    async def bars(self) -> list[tuple[str, int]]:
        """Words and counts of the bars, from above."""
        found: list[list[str]] = await self.page.evaluate(
            "[...document.querySelectorAll('#bars li')]"
            ".map(row => [row.querySelector('bdi').textContent,"
            " row.querySelector('.count').textContent])"
        )
        return [(word, int(count.replace(",", ""))) for word, count in found]

    async def until(self, condition: str, argument: Any = None) -> None:
        """Wait until the JavaScript condition is true."""
        # Not with Playwright's wait_for_function: it uses eval, which the page's policy forbids.
        deadline = time.monotonic() + DEADLINE_MS / 1000
        while not await self._holds(condition, argument):
            assert time.monotonic() < deadline, f"not in time: {condition}"
            await asyncio.sleep(0.05)

    async def _holds(self, condition: str, argument: Any) -> bool:
        try:
            return bool(await self.page.evaluate(condition, argument))
        except Error as error:
            if "navigation" not in error.message:
                raise
            return False  # the page is being loaded

    async def until_bars(self, *expected: tuple[str, int]) -> None:
        """Wait until the first bars are these."""
        shown = [[word, f"{count:,}"] for word, count in expected]
        await self.until(
            "expected => JSON.stringify([...document.querySelectorAll('#bars li')]"
            ".slice(0, expected.length).map(row => [row.querySelector('bdi').textContent,"
            " row.querySelector('.count').textContent])) === JSON.stringify(expected)",
            shown,
        )

    async def until_summary(self, word: str, summary: str) -> None:
        """Wait until the history of the word that begins so has this summary."""
        await self.until(
            "([word, summary]) => document.getElementById('word-title').textContent"
            ".trim().startsWith(word)"
            " && document.getElementById('word-summary').textContent === summary",
            [word, summary],
        )

    def bar(self, word: str) -> Locator:
        """The button of a word."""
        return self.page.locator("#bars button").filter(
            has=self.page.locator("bdi").get_by_text(word, exact=True)
        )

    async def text(self, selector: str) -> str:
        """The text of an element."""
        return await self.page.locator(selector).inner_text()

    async def banner(self, text: str) -> None:
        """Wait for a banner with this text."""
        await self.page.locator("#banner").get_by_text(text).first.wait_for()

    async def focused(self) -> str:
        """The id of the focused element, or its text."""
        found: str = await self.page.evaluate(
            "document.activeElement.id || document.activeElement.textContent"
        )
        return found

    async def faults(self) -> list[str]:
        """The accessibility violations that axe-core finds."""
        await self.page.evaluate(AXE_SCRIPT)
        found = await self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{violation['id']}: {violation['help']}: "
            + "; ".join(
                str(node["target"]) + " " + node["failureSummary"] for node in violation["nodes"]
            )
            for violation in found["violations"]
        ]

    async def is_too_wide(self) -> bool:
        """Whether the page has to be scrolled sideways."""
        found: bool = await self.page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        return found

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning") and "net::ERR" not in message.text:
            self.alarms.append(f"{message.type}: {message.text}")

    def _on_request(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:")):
            self.alarms.append(f"asked elsewhere: {request.url}")
