"""The agent `flush`: requests by its channel, one flush at a time."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import faust
import pytest

from agents.flush import add_flush

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from agents.flush_requests import FlushRequests


class FakeFlusher:
    """A flusher that counts its flushes; each leaves that many rows dirty."""

    def __init__(self) -> None:
        self.flushes = 0
        self.running = 0
        self.most_running = 0
        self.error: Exception | None = None

    async def flush_counts(self) -> int:
        """Flush."""
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        await asyncio.sleep(0)
        self.running -= 1
        self.flushes += 1
        if self.error is not None:
            raise self.error
        return self.flushes


async def guard(work: Callable[[], Awaitable[int]]) -> int | None:
    """Return the result of `work`, None after an error."""
    try:
        return await work()
    except RuntimeError:
        return None


def app_without_kafka() -> faust.App:
    """An application whose streams read local channels only."""
    app = faust.App("test-flush", broker="kafka://127.0.0.1:1")
    # A real consumer would open an event loop for its thread.
    app.consumer = cast("Any", SimpleNamespace(unacked=set(), _unacked_messages=set()))
    return app


@pytest.fixture
def flusher() -> FakeFlusher:
    """A flusher for the agent."""
    return FakeFlusher()


@pytest.fixture
async def requests(flusher: FakeFlusher) -> AsyncIterator[FlushRequests]:
    """The channel of a running agent."""
    app = app_without_kafka()
    typed: Any = flusher
    channel = add_flush(app, typed, guard)
    [agent] = app.agents.values()
    await agent.start()
    # As during a rebalance: Faust suspends its flow and clears its queues.
    app.flow_control.suspend()
    app.flow_control.clear()
    yield channel
    await agent.stop()


async def test_a_request_returns_the_rows_that_are_left(requests: FlushRequests) -> None:
    """The sender waits for its flush, also while Kafka's flow is suspended."""
    async with asyncio.timeout(5):
        assert await requests.flush_now() == 1
        assert await requests.flush_now() == 2


async def test_requests_are_served_one_at_a_time(
    requests: FlushRequests, flusher: FakeFlusher
) -> None:
    """Requests of several senders queue up."""
    async with asyncio.timeout(5):
        assert await asyncio.gather(*(requests.flush_now() for _ in range(3))) == [1, 2, 3]
    assert flusher.most_running == 1


async def test_a_request_that_is_sent_before_the_agent_starts_is_served() -> None:
    """The channel keeps requests until the agent reads them."""
    app = app_without_kafka()
    typed: Any = FakeFlusher()
    waiting = asyncio.create_task(add_flush(app, typed, guard).flush_now())
    await asyncio.sleep(0)
    [agent] = app.agents.values()
    await agent.start()
    async with asyncio.timeout(5):
        assert await waiting == 1
    await agent.stop()


async def test_a_failed_flush_ends_its_request(
    requests: FlushRequests, flusher: FakeFlusher
) -> None:
    """The sender gets None, and the agent serves the next request."""
    flusher.error = RuntimeError("refused")
    async with asyncio.timeout(5):
        assert await requests.flush_now() is None
        flusher.error = None
        assert await requests.flush_now() == 2


def test_faust_lists_the_three_agents_with_their_help() -> None:
    """`faust -A app agents` names split, count and flush, and what each of them does."""
    listed = subprocess.run(
        [sys.executable, "-m", "faust", "-A", "app", "agents"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "200", "PYTHONPATH": ":".join(sys.path)},
    ).stdout
    for name, does in {
        "@split": "Split lines into words",
        "@count": "Add counts to the table word_counts",
        "@flush": "Write the changed rows of the table to Cassandra",
    }.items():
        assert any(name in line and does in line for line in listed.splitlines()), listed
