"""Kafka goes away under the sources that are fed from outside, and their producers are killed."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import subprocess
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from app.embedded import EmbeddedKafka
from tests.conftest import Servers
from tests.delivered import delivered, lines_in
from tests.integration.conftest import Stream
from tests.peers.feeds import FEEDS, Actor, Kafka, Tcp
from tests.producers import Produce

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from cassandra.cluster import Session

    from app.embedded import EmbeddedCassandra
    from tests.peers.feeds import Feed
    from tests.producers import Watched

LINES = 3_000


@pytest.fixture
def broker() -> Iterator[EmbeddedKafka]:
    """A Kafka that a test may kill."""
    with EmbeddedKafka() as kafka:
        yield kafka


@pytest.fixture
def feeds(
    kafka: EmbeddedKafka, tmp_path: Path
) -> Iterator[Callable[..., Awaitable[dict[str, Feed]]]]:
    """Creates the peers of sources by the sources' names."""
    made: list[Feed] = []
    Kafka.broker = kafka.address

    def make(name: str) -> Feed:
        folder = tmp_path / name
        folder.mkdir()
        made.append(FEEDS[name](folder))
        return made[-1]

    async def make_all(*names: str) -> dict[str, Feed]:
        peers = await everybody(*[partial(make, name) for name in names])
        return dict(zip(names, peers, strict=True))

    yield make_all
    for feed in made:
        feed.close()


@pytest.fixture
def counted(
    broker: EmbeddedKafka,
    cassandra: EmbeddedCassandra,
    session: Session,
    unique: str,
    tmp_path: Path,
) -> Iterator[Callable[[], dict[str, int]]]:
    """Starts a worker; returns the counts of the topic's words in Cassandra."""
    stream = Stream(Servers(broker, cassandra), unique, tmp_path / "worker").configure(
        lines=unique, window="none", columns="word,count"
    )
    (tmp_path / "worker").mkdir()

    def rows() -> dict[str, int]:
        if not stream.workers:
            stream.start()
        return dict(
            tuple(row) for row in session.execute(f"SELECT word, count FROM {unique}.words")
        )

    yield rows
    stream.close()


@pytest.fixture
def start(broker: EmbeddedKafka, unique: str, started: list[Produce]) -> Callable[..., Watched]:
    """Starts the producer of a feed, all of them for one topic."""

    def start(feed: Feed, *more: str) -> Watched:
        folder = feed.folder / "producer"
        folder.mkdir(exist_ok=True)
        produce = Produce(broker.address, unique, folder)
        produce.environ |= feed.environ
        started.append(produce)
        return produce.watch(*feed.arguments, *more, stdin=feed.stdin or subprocess.DEVNULL)

    return start


def words(lines: Counter[bytes]) -> dict[str, int]:
    """An independent count of the words of lines."""
    found: Counter[str] = Counter()
    for line, times in lines.items():
        for word in line.decode().split():
            found[word] += times
    return dict(found)


async def everybody(*calls: Callable[[], Any]) -> list[Any]:
    """Call all functions at once, in threads; return their results."""
    return await asyncio.gather(*map(asyncio.to_thread, calls))


async def send(fed: dict[str, Feed], first: int, last: int) -> None:
    """Send the lines of each feed from number `first` to before `last`."""
    await everybody(*[partial(feed.send, first, last) for feed in fed.values()])


async def test_an_outage_of_kafka_loses_no_line_and_doubles_none_except_with_flume(
    broker: EmbeddedKafka,
    unique: str,
    feeds: Callable[..., Awaitable[dict[str, Feed]]],
    start: Callable[..., Watched],
    counted: Callable[[], dict[str, int]],
    wait_until: Callable[..., Any],
) -> None:
    """Their broker is killed while lines come, and stays away until each producer reports it.

    A worker's counts of the lines then equal an independent count.
    """
    fed = await feeds(*(name for name in FEEDS if name not in ("tcp", "zeromq")))
    runs = {name: start(feed) for name, feed in fed.items()}

    expected = Counter(line for feed in fed.values() for line in feed.lines(LINES))
    await send(fed, 0, 300)
    await delivered(broker.address, unique, sum(len(feed.lines(300)) for feed in fed.values()))
    await asyncio.to_thread(broker.kill)
    for first in range(300, LINES, 300):
        await send(fed, first, first + 300)
    wait_until(
        lambda: all(
            "Kafka has acknowledged nothing" in run.said.read_text()
            for name, run in runs.items()
            if name != "flume"  # its agent keeps its events
        ),
        120,
    )
    await asyncio.to_thread(broker.start)
    await delivered(broker.address, unique, expected.total(), distinct=True)
    statuses = {name: run.stop()[0] for name, run in runs.items()}
    assert statuses == dict.fromkeys(runs, 0)
    found = Counter(await lines_in(broker.address, unique))
    assert {*found} == {*expected}
    assert {*(found - expected)} <= {*fed["flume"].lines(LINES)}
    wait_until(lambda: counted() == words(found), 120)


@contextlib.asynccontextmanager
async def away(broker: EmbeddedKafka) -> AsyncIterator[None]:
    """A Kafka that answers no request during the body."""
    broker.pause()
    try:
        yield
    finally:
        broker.resume()


async def test_lines_that_came_while_kafka_was_away_survive_kill(
    broker: EmbeddedKafka,
    unique: str,
    feeds: Callable[..., Awaitable[dict[str, Feed]]],
    start: Callable[..., Watched],
    counted: Callable[[], dict[str, int]],
    wait_until: Callable[..., Any],
) -> None:
    """With --write-ahead the next run delivers the lines that were read, each once.

    An actor's client sends lines that were not acknowledged again: some of them come twice.
    """
    fed = await feeds("tcp", "zeromq", "stdin", "x", "actor")

    def go() -> dict[str, Watched]:
        return {n: start(f, *([] if f.twice else ["--write-ahead"])) for n, f in fed.items()}

    def on_disk(feed: Feed) -> bool:
        last = feed.lines(2 * LINES)[-1]
        return any(last in spill.read_bytes() for spill in feed.folder.rglob("*.spill"))

    runs = go()
    await send(fed, 0, LINES)
    await delivered(broker.address, unique, LINES * len(fed))
    async with away(broker):
        await send(fed, LINES, 2 * LINES)
        wait_until(lambda: all(on_disk(feed) for feed in fed.values() if not feed.twice), 120)
        pattern = rf"\b{LINES} lines wait, retrying"
        wait_until(lambda: re.search(pattern, runs["actor"].said.read_text()), 120)
        for run in runs.values():
            run.kill()
    assert isinstance(fed["tcp"], Tcp)
    fed["tcp"].reconnect()
    runs = go()
    assert isinstance(fed["actor"], Actor)
    await asyncio.to_thread(fed["actor"].flush)
    await send(fed, 2 * LINES, 3 * LINES)
    await delivered(broker.address, unique, 3 * LINES * len(fed), distinct=True)
    statuses = {name: run.stop()[0] for name, run in runs.items()}
    assert statuses == dict.fromkeys(runs, 0)
    found = Counter(await lines_in(broker.address, unique))
    assert {*found} == {line for feed in fed.values() for line in feed.lines(3 * LINES)}
    again = {line for line, times in found.items() if times > 1}
    assert again <= {*fed["actor"].lines(2 * LINES)[LINES:]}
    assert max(found.values()) <= 2
    assert "that an earlier run left" in runs["tcp"].said.read_text()
    assert not [path for feed in fed.values() for path in feed.folder.rglob("*.spill")]
    wait_until(lambda: counted() == words(found), 120)


async def test_a_second_ctrl_c_keeps_lines_for_the_next_run(
    broker: EmbeddedKafka,
    unique: str,
    started: list[Produce],
    tmp_path: Path,
    wait_until: Callable[..., Any],
) -> None:
    """After a second Ctrl-C while Kafka is away, the next run delivers the lines of a pipe first.

    Each comes once, since the broker is killed before the lines are written: no request with them
    can reach it. A broker that is only paused might still write requests that it had received.
    """
    produce = Produce(broker.address, unique, tmp_path)
    started.append(produce)
    run = produce.watch("stdin", stdin=subprocess.PIPE)
    assert run.process.stdin is not None
    run.process.stdin.write(b"before\n")
    run.process.stdin.flush()
    await delivered(broker.address, unique, 1)
    wait_until(lambda: "1 lines acknowledged" in run.said.read_text())
    text = b"".join(b"line %d\n" % number for number in range(1000))
    await asyncio.to_thread(broker.kill)
    run.process.stdin.write(text)
    run.process.stdin.close()
    run.process.stdin = None
    wait_until(lambda: "1000 lines wait, retrying" in run.said.read_text())
    run.process.send_signal(signal.SIGINT)
    wait_until(lambda: "Ctrl-C again gives them up" in run.said.read_text())
    run.process.send_signal(signal.SIGINT)
    run.process.communicate(timeout=120)
    assert run.process.returncode == 1
    assert "1000 lines are kept in" in run.said.read_text()
    await asyncio.to_thread(broker.start)
    run = produce.watch("stdin", stdin=subprocess.DEVNULL)
    assert run.process.wait(120) == 0
    found = await lines_in(broker.address, unique)
    assert sorted(found) == sorted([b"before", *text.splitlines()])
