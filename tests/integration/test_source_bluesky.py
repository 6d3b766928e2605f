"""Posts of Bluesky arrive from a server of Jetstream's protocol, in another process."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from app.embedded import EmbeddedKafka
from app.errors import ConfigurationError
from app.sources.base import Batch, Position, SourceError
from app.sources.bluesky import BlueskySource
from app.sources.reconnecting import ReconnectPolicy
from tests.collecting import batches_of
from tests.delivered import delivered, lines_in
from tests.peers.jetstream_server import is_post, lines, time_us
from tests.peers.peer import Peer
from tests.producers import Producer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Peer]:
    peer = Peer("jetstream_server.py", tmp_path)
    yield peer
    peer.kill()


@pytest.fixture
def stream(server: Peer) -> Callable[..., BlueskySource]:
    """Creates sources of that server; their waits are scaled so that a second takes 20 ms."""

    def make(**options: Any) -> BlueskySource:
        options = {"heartbeat_seconds": 1.0, "backoff": ReconnectPolicy(unit=0.02), **options}
        return BlueskySource(f"ws://127.0.0.1:{server.port}/subscribe", **options)

    return make


async def take(source: BlueskySource, number: int, seconds: float = 60) -> list[Batch]:
    """Return the batches of the first posts of a source."""
    taken: list[Batch] = []
    posts = 0
    async with asyncio.timeout(seconds):
        await source.open()
        async with aclosing(batches_of(source)) as batches:
            async for batch in batches:
                taken.append(batch)
                posts += batch.lines
                if posts == number:
                    break
    return taken


async def test_every_post_comes_once_through_all_failures(
    server: Peer, stream: Callable[..., BlueskySource], capsys: pytest.CaptureFixture[str]
) -> None:
    """Closes, resets, stalls and temporary refusals cost time; the cursor brings missed posts."""
    acts: list[dict[str, Any]] = [
        {"posts": 100, "then": "close"},
        {"posts": 100, "then": "abort"},
        {"status": 503},
        {"status": 429},
        {"posts": 109, "then": "stall"},
        {"posts": 100, "then": "abort"},
        {"then": "strange"},
    ]
    server.start(1000, acts=acts)
    posts = lines(1000)
    batches = await take(stream(), len(posts))
    assert [batch.text for batch in batches if batch.lines] == posts
    assert [b.timestamp_ms for b in batches if b.lines] == [
        time_us(n) // 1000 for n in range(1000) if is_post(n)
    ]
    cursors = [int(request["query"].get("cursor", 0)) for request in server.requests]
    assert cursors == sorted(cursors)
    assert "skipped a message that is no event: 'not JSON'" in capsys.readouterr().err


async def test_a_later_run_resumes_behind_the_position(
    server: Peer, stream: Callable[..., BlueskySource]
) -> None:
    """Of two posts of the same time, the delivered one does not come again."""
    server.start(200)
    first = await take(stream(), len(lines(99)))
    position = first[-1].position
    assert isinstance(position, Position)
    later = stream()
    await later.resume({position.key: position.value})
    rest = await take(later, len(lines(200)) - len(lines(99)))
    assert [batch.text for batch in [*first, *rest] if batch.lines] == lines(200)


async def test_a_wrong_server_ends_the_source(
    server: Peer, stream: Callable[..., BlueskySource]
) -> None:
    """Retries can't help against a wrong path or a message beyond the memory limit."""
    server.start(10, acts=[{"status": 404}, {"posts": 5, "then": "huge"}])
    with pytest.raises(SourceError, match=r"refuses: 404.*fix --endpoint"):
        await take(stream(), 10)
    with pytest.raises(SourceError, match="more than 16777216 bytes"):
        await take(stream(), 10)
    with pytest.raises(ConfigurationError, match="no WebSocket"):
        await BlueskySource("https://example.com").open()


async def test_n_posts_are_n_lines_in_kafka_though_both_ends_are_killed(
    server: Peer, kafka: EmbeddedKafka, unique: str, tmp_path: Path
) -> None:
    """Cursor and lines share a transaction, so they stay exact when server and producer die."""
    events, posts = 12_000, lines(12_000)
    server.start(events, rate=3000)
    endpoint = f"ws://127.0.0.1:{server.port}/subscribe"
    producer = Producer(
        kafka.address, unique, tmp_path, "bluesky", "--json", "--endpoint", endpoint
    )

    try:
        producer.start()
        await delivered(kafka.address, unique, 1000)
        producer.kill()
        producer.start()
        await delivered(kafka.address, unique, 4000)
        server.kill()
        server.start(events, rate=6000)
        await delivered(kafka.address, unique, 6000)
        producer.kill()
        producer.start()
        await delivered(kafka.address, unique, len(posts))
        figures = producer.stop()
    finally:
        producer.kill()
    assert figures["status"] == 0, producer.said
    assert Counter(await lines_in(kafka.address, unique)) == Counter(posts)
