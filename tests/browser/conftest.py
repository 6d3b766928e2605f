"""Fixtures: a real browser, and pages of real workers in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from tests.browser.chromium import ARGUMENTS, find
from tests.browser.pages import DESKTOP, LivePage

# The streams of tests/integration are imported here: a conftest's fixtures reach only its folder.
from tests.integration.conftest import new_stream  # noqa: F401

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from playwright.async_api import Browser


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium; without one the browser tests are skipped, or fail in CI."""
    found = find()
    if found is None:
        reason = "no Chromium: apt-get install chromium, or name one with CHROMIUM=/path/of/it"
        if os.environ.get("BROWSER_TESTS") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """A browser that the tests of a module share."""
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="module")
async def open_page(browser: Browser) -> AsyncIterator[Callable[..., Awaitable[LivePage]]]:
    """`open_page(url, path="/", color_scheme="dark", …)`: a page in a profile of its own.

    Nothing may go wrong in it: no error, no dialog, nothing that its policy forbids.
    """
    opened: list[LivePage] = []
    contexts = []

    async def open_(url: str, path: str = "/", **options: Any) -> LivePage:
        context = await browser.new_context(**{"viewport": DESKTOP, **options})
        contexts.append(context)
        opened.append(await LivePage.open(context, url, path))
        return opened[-1]

    yield open_
    for context in contexts:
        await context.close()
    assert [alarm for page in opened for alarm in page.alarms] == []
