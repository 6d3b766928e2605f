"""Kafka goes away under the sources that are fed over the network: it costs time, not lines."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from app.embedded import EmbeddedKafka
from app.embedded.ports import free_port
from tests.delivered import delivered, lines_in
from tests.peers.flume import FlumeAgent
from tests.peers.jetstream_server import is_post
from tests.peers.peer import Peer
from tests.peers.x_server import TOKEN
from tests.producers import Producer

LINES = 6_000


@pytest.fixture
def broker() -> Iterator[EmbeddedKafka]:
    """A Kafka of the test's own, to be ill-treated."""
    with EmbeddedKafka() as kafka:
        yield kafka


@pytest.fixture
def peers(tmp_path: Path) -> Iterator[tuple[Peer, Peer, FlumeAgent]]:
    """X, Jetstream and a Flume agent, each with some seconds' work."""
    folders = [tmp_path / name for name in ("x", "bluesky")]
    for folder in folders:
        folder.mkdir()
    port = free_port()
    x, bluesky = Peer("x_server.py", folders[0]), Peer("jetstream_server.py", folders[1])
    agent = FlumeAgent(tmp_path / "flume", port, batch=100)
    x.start(LINES, rate=600)
    bluesky.start(LINES, rate=600)
    yield x, bluesky, agent
    for peer in (x, bluesky, agent):
        peer.kill()


async def test_none_of_them_loses_a_line_and_but_flume_none_doubles_one(
    broker: EmbeddedKafka,
    kafka: EmbeddedKafka,
    unique: str,
    tmp_path: Path,
    peers: tuple[Peer, Peer, FlumeAgent],
    create_topic: Callable[..., Awaitable[str]],
) -> None:
    """All four at once, while their broker is killed and stays away until they complain."""
    x, bluesky, agent = peers
    text = [b"line %d of many" % n for n in range(LINES)]
    await create_topic(unique, 2)
    writer = AIOKafkaProducer(bootstrap_servers=kafka.address)
    await writer.start()
    await asyncio.gather(*[await writer.send(unique, line) for line in text])
    await writer.stop()
    options = {
        "x": ["--rule", "a", "--endpoint", f"http://127.0.0.1:{x.port}"],
        "bluesky": ["--endpoint", f"ws://127.0.0.1:{bluesky.port}/subscribe"],
        "kafka": [
            *("--from", f"kafka://{kafka.address}", "--from-topic", unique, "--rate", "600"),
        ],
        "flume": ["--listen", f"127.0.0.1:{agent.port}"],
    }
    expected = {
        "x": Counter(b"post %d of many" % n for n in range(LINES)),
        "bluesky": Counter(
            b"post %d of many" % n + (b"?" if n % 50 == 12 else b"")
            for n in range(LINES)
            if is_post(n)
        ),
        "kafka": Counter(text),
        "flume": Counter(text),
    }
    state = {"X_BEARER_TOKEN": TOKEN, "XDG_STATE_HOME": str(tmp_path / "state")}
    producers = {
        name: Producer(broker.address, name, tmp_path, name, "--json", *arguments, **state).start()
        for name, arguments in options.items()
    }
    try:
        agent.put("lines", b"".join(line + b"\n" for line in text))
        agent.start()
        for name in producers:
            await delivered(broker.address, name, 200)
        await asyncio.to_thread(broker.kill)
        # On a slow machine some may be done by then.
        producers["kafka"].wait_until(
            lambda: any("Kafka has acknowledged nothing" in one.said for one in producers.values())
        )
        await asyncio.to_thread(broker.start)
        for name, lines in expected.items():
            await delivered(broker.address, name, len(lines))
        found = {name: Counter(await lines_in(broker.address, name)) for name in expected}
        statuses = {name: producer.stop()["status"] for name, producer in producers.items()}
    finally:
        for producer in producers.values():
            producer.kill()
    assert statuses == dict.fromkeys(producers, 0)
    assert {*found.pop("flume")} == {*expected.pop("flume")}
    assert found == expected
