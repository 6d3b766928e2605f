"""What the live page says while servers are away and workers recover."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from app.embedded import EmbeddedCassandra, EmbeddedKafka, close_together, start_together
from tests.browser.held import held_in_recovery
from tests.conftest import Servers
from tests.integration.conftest import Stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.browser.pages import LivePage

    OpenPage = Callable[..., Awaitable[LivePage]]

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORDS = 120_000
"""Distinct words: more of the changelog than one fetch of each partition brings."""


@pytest.fixture(scope="module")
def victims(chromium: str) -> Iterator[Servers]:
    """A Kafka and a Cassandra that may be halted and killed."""
    assert chromium
    servers = Servers(EmbeddedKafka(), EmbeddedCassandra())
    start_together(*servers)
    yield servers
    close_together(*servers)


@pytest.fixture(scope="module")
def own_stream(victims: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stream]:
    """An application on them."""
    folder = tmp_path_factory.mktemp("troubles")
    stream = Stream(victims, "browser_troubles", folder)
    yield stream.configure(print=0, partitions=2, grace="1h")
    stream.close()


async def test_a_cassandra_that_is_away_is_said_to_be(
    victims: Servers, own_stream: Stream, open_page: OpenPage
) -> None:
    """A banner says it while words go on being counted; it goes when Cassandra is back."""
    worker = own_stream.start()
    now = time.time_ns() // 1_000_000
    await own_stream.produce((f"again w{n}", now) for n in range(100))
    page = await open_page(worker.url)
    await page.until("() => document.querySelector('#bars bdi')?.textContent === 'again'")
    victims.cassandra.kill()
    await page.banner("Cassandra is away.")
    await own_stream.produce((f"again w{n}", now) for n in range(100))
    await page.until("() => document.querySelector('#bars .count').textContent === '200'")
    await page.until("() => document.getElementById('rows').textContent !== '0'")
    assert await page.faults() == []
    victims.cassandra.start()
    await page.until("() => document.getElementById('banner').textContent === ''")
    await page.until("() => document.getElementById('rows').textContent === '0'")
    assert await page.text("#pill") == "Live"


async def test_a_worker_that_recovers_is_said_to(
    victims: Servers, own_stream: Stream, open_page: OpenPage
) -> None:
    """Its page says so from the start on, and shows the counts once it has them."""
    worker = own_stream.workers[0]
    now = time.time_ns() // 1_000_000
    words = [f"recovered-word-number-{n}" for n in range(WORDS)]
    lines = [" ".join(words[n : n + 500]) for n in range(0, WORDS, 500)]
    await own_stream.produce((line, now) for line in lines)
    worker.wait_until(
        lambda: (
            (answer := worker.json("/api/windows"))
            and sum(window["distinct"] for window in answer["windows"]) > WORDS
        )
    )
    worker.process.kill()
    with held_in_recovery(own_stream, victims.kafka) as recovering:
        page = await open_page(recovering.url)
        await page.banner("recovers its part of the table")
        assert await page.text("#pill") == "Recovering"
        assert await page.faults() == []
    await page.until("() => document.getElementById('pill-text').textContent === 'Live'")
    await page.until("() => document.querySelector('#bars bdi')?.textContent === 'again'")
    assert not await page.was_reloaded()
