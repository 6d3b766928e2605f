"""The live page while servers are away and workers recover."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from app.embedded import EmbeddedCassandra
from tests.browser.held import held_in_recovery
from tests.conftest import Servers
from tests.integration.conftest import Stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from app.embedded import EmbeddedKafka
    from tests.browser.pages import LivePage
    from tests.workers import WorkerProcess

    OpenPage = Callable[..., Awaitable[LivePage]]

pytestmark = pytest.mark.asyncio(loop_scope="module")


def top_words(worker: WorkerProcess) -> list[Any]:
    """The words of a worker's newest window; none while it does not answer."""
    answer = worker.json("/api/top")
    return answer["words"] if answer else []


@pytest.fixture
def own_cassandra(chromium: str) -> Iterator[EmbeddedCassandra]:
    """A Cassandra that the test may kill."""
    assert chromium
    with EmbeddedCassandra() as server:
        yield server


@pytest.fixture
def own_stream(
    kafka: EmbeddedKafka, own_cassandra: EmbeddedCassandra, unique: str, tmp_path: Path
) -> Iterator[Stream]:
    """An application that saves to this Cassandra."""
    stream = Stream(Servers(kafka, own_cassandra), unique, tmp_path)
    yield stream.configure(print=0, partitions=2)
    stream.close()


async def test_a_banner_reports_that_cassandra_is_away(
    own_cassandra: EmbeddedCassandra, own_stream: Stream, open_page: OpenPage
) -> None:
    """Words are still counted; the banner disappears when Cassandra is back."""
    worker = own_stream.start()
    now = time.time_ns() // 1_000_000
    await own_stream.produce((f"again w{n}", now) for n in range(100))
    page = await open_page(worker.url)
    await page.until("() => document.querySelector('#bars bdi')?.textContent === 'again'")
    own_cassandra.kill()
    await page.banner("Cassandra is away.")
    await own_stream.produce((f"again w{n}", now) for n in range(100))
    await page.until("() => document.querySelector('#bars .count').textContent === '200'")
    await page.until("() => document.getElementById('rows').textContent !== '0'")
    assert await page.faults() == []
    own_cassandra.start()
    await page.until("() => document.getElementById('banner').textContent === ''")
    await page.until("() => document.getElementById('rows').textContent === '0'")
    assert await page.text("#pill") == "Live"


async def test_a_banner_reports_that_a_worker_recovers(
    chromium: str,
    new_stream: Callable[[str], Stream],
    unique: str,
    open_page: OpenPage,
    tmp_path: Path,
) -> None:
    """The page reports it from the start, and shows the counts after the recovery."""
    assert chromium
    stream = new_stream(unique).configure(print=0, partitions=2)
    worker = stream.start()
    now = time.time_ns() // 1_000_000
    await stream.produce((f"again w{n}", now) for n in range(200))
    worker.wait_until(lambda: {"word": "again", "count": 200} in top_words(worker))
    assert worker.stop() == 0
    with held_in_recovery(stream, tmp_path) as recovering:
        page = await open_page(recovering.url)
        await page.banner("recovers its part of the table")
        assert await page.text("#pill") == "Recovering"
        assert await page.faults() == []
    await page.until("() => document.getElementById('pill-text').textContent === 'Live'")
    await page.until_bars(("again", 200))
    assert not await page.was_reloaded()
