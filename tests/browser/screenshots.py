"""Takes build/screenshots/*.png: the live page of real workers, in each state that it has.

python -m tests.browser.screenshots [--docs]    --docs: also those that docs/ shows
"""

from __future__ import annotations

import asyncio
import itertools
import math
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.async_api import async_playwright

from app.embedded import EmbeddedCassandra, EmbeddedKafka, close_together, start_together
from app.embedded.process import Process
from app.sources.sample import sample_text
from tests.browser.chromium import ARGUMENTS, find
from tests.browser.held import held_in_recovery
from tests.browser.pages import DESKTOP, PHONE, LivePage
from tests.conftest import Servers
from tests.integration.conftest import Stream
from tests.workers import ROOT, faust

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.async_api import Browser

FOLDER = ROOT / "build" / "screenshots"
DOCS = {"word.png": "page.png", "dark.png": "page-dark.png"}
MINUTE = 60_000
MINUTES = 60
"""Number of minutes of text before the present one."""

SETTLED = "() => document.getElementById('pill-text').textContent === 'Live'"


class Studio:
    """Takes the pictures of an application's page in a browser."""

    def __init__(self, browser: Browser, servers: Servers, stream: Stream) -> None:
        self._browser = browser
        self._servers = servers
        self._stream = stream

    async def take_all(self) -> None:
        """Take every picture, from an empty topic to a worker that recovers."""
        first = self._stream.start()
        await self.take("empty", first.url)
        self._stream.start()
        await self._stream.produce(_past())
        with self._producing("30", seconds=25):
            await self.take("desktop", first.url, seconds=25)
            await self.take("word", first.url, word="the")
            await self.take("dark", first.url, word="the", color_scheme="dark")
            await self.take("phone", first.url, full=True, viewport=PHONE)
            await self.take("phone-dark", first.url, viewport=PHONE, color_scheme="dark")
        with self._producing("50000", seconds=6):
            await self.take("busy", first.url, seconds=8)
        await self._without_cassandra(first.url)
        await self._recovering()

    async def _without_cassandra(self, url: str) -> None:
        with self._producing("30", seconds=1):
            self._servers.cassandra.kill()
            banner = "() => document.getElementById('banner').textContent.includes('Cassandra')"
            await self.take("cassandra-down", url, until=banner, seconds=12)
            self._servers.cassandra.start()
            await self.take("cassandra-back", url, until=SETTLED)

    async def _recovering(self) -> None:
        for worker in self._stream.workers:
            worker.kill()
        with held_in_recovery(self._stream, FOLDER) as worker:
            banner = "() => document.getElementById('banner').textContent.includes('recovers')"
            await self.take("recovering", worker.url, until=banner)

    def _producing(self, rate: str, seconds: float) -> Any:
        return _Producing(self._stream, rate, seconds)

    async def take(
        self,
        name: str,
        url: str,
        *,
        until: str = "() => true",
        word: str = "",
        seconds: float = 2.5,
        full: bool = False,
        **options: Any,
    ) -> None:
        """Take one picture, `seconds` after the condition is true."""
        # Moving bars would be caught half-way.
        still = {"viewport": DESKTOP, "reduced_motion": "reduce", **options}
        context = await self._browser.new_context(**still)
        page = await LivePage.open(context, url, f"/#word={word}" if word else "/")
        await page.until(until)
        await asyncio.sleep(seconds)
        await page.page.screenshot(path=FOLDER / f"{name}.png", full_page=full)
        print(f"{FOLDER / name}.png", *page.alarms)  # noqa: T201
        await context.close()


class _Producing:
    """Text that arrives while pictures are taken, and some seconds before."""

    def __init__(self, stream: Stream, rate: str, seconds: float) -> None:
        self._stream = stream
        self._rate = rate
        self._seconds = seconds

    def __enter__(self) -> None:
        command = faust("produce", "sample", "--rate", self._rate)
        log = FOLDER / "producer.log"
        self._process = Process(command, log, self._stream.environ())
        time.sleep(self._seconds)

    def __exit__(self, *_: object) -> None:
        self._process.terminate(20)


def _past() -> Iterator[tuple[str, int]]:
    """Lines of the minutes before this one, in varying numbers."""
    lines = itertools.cycle(sample_text().split("\n"))
    present = time.time_ns() // 1_000_000 // MINUTE * MINUTE
    for ago in range(MINUTES, 0, -1):
        count = int(1200 + 500 * math.sin(ago / 9) + 200 * math.sin(ago / 2.3))
        for number in range(count):
            yield next(lines), present - ago * MINUTE + number * MINUTE // count


async def main() -> None:
    """Start everything, take the pictures, stop everything."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    servers = Servers(EmbeddedKafka(), EmbeddedCassandra())
    folder = Path(tempfile.mkdtemp(prefix="wordcount-screenshots-"))
    stream = Stream(servers, "wordcount", folder).configure(print=0, lines="lines")
    stream.lines = "lines"
    try:
        start_together(*servers)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=find(), args=list(ARGUMENTS))
            await Studio(browser, servers, stream).take_all()
            await browser.close()
    finally:
        stream.close()
        close_together(*servers)
        shutil.rmtree(folder, ignore_errors=True)
    if "--docs" in sys.argv:
        for taken, shown in DOCS.items():
            shutil.copy(FOLDER / taken, ROOT / "docs" / shown)


if __name__ == "__main__":
    asyncio.run(main())
