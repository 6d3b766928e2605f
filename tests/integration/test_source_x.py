"""Posts of X arrive from a server of the documented protocol, in another process."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from app.embedded import EmbeddedKafka
from app.errors import ConfigurationError, UnavailableError
from app.sources.base import Batch, SourceError
from app.sources.reconnecting import ReconnectPolicy
from app.sources.x.source import XSource
from tests.collecting import batches_of
from tests.delivered import delivered, lines_in
from tests.peers.peer import Peer
from tests.peers.x_server import FIRST_MS, TOKEN
from tests.producers import Producer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Peer]:
    peer = Peer("x_server.py", tmp_path)
    yield peer
    peer.kill()


@pytest.fixture
def stream(server: Peer) -> Callable[..., XSource]:
    """Creates sources of that server; their waits are scaled so that a second takes 20 ms."""

    def make(**options: Any) -> XSource:
        options = {"token": TOKEN, "add": ["cats"], "stall_seconds": 1.0, **options}
        endpoint = f"http://127.0.0.1:{server.port}"
        return XSource(endpoint=endpoint, backoff=ReconnectPolicy(unit=0.02), **options)

    return make


async def take(source: XSource, number: int, seconds: float = 60) -> list[Batch]:
    """Return the first posts of a source, and close it."""
    taken: list[Batch] = []
    try:
        async with asyncio.timeout(seconds):
            await source.open()
            async with aclosing(batches_of(source)) as batches:
                async for batch in batches:
                    taken.append(batch)
                    if len(taken) == number:
                        break
    finally:
        await source.close()
    return taken


async def opened(source: XSource) -> None:
    """Open a source, and close it."""
    try:
        await source.open()
    finally:
        await source.close()


def expected(number: int) -> list[bytes]:
    return [b"post %d of many" % n for n in range(number)]


async def test_every_post_comes_once_through_all_documented_failures(
    server: Peer, stream: Callable[..., XSource], capsys: pytest.CaptureFixture[str]
) -> None:
    """Closes, breaks, stalls, disconnects, repeats, 5xx and 429: no post is lost or doubled."""
    acts: list[dict[str, Any]] = [
        {"posts": 100, "then": "close"},
        {"posts": 100, "then": "abort"},
        {"status": 503},
        {"status": 500, "body": {"detail": "sorry"}},
        {"posts": 100, "then": "half", "again": 50},
        {"status": 429, "reset_in": 1, "body": {"title": "ConnectionException"}},
        {"posts": 100, "then": "disconnect"},
        {"posts": 100, "then": "stall"},
        {"posts": 100, "then": "huge"},
        {"then": "strange", "again": 500},
    ]
    server.start(1000, acts=acts)
    batches = await take(stream(), 1000)
    assert [batch.text for batch in batches] == expected(1000)
    err = capsys.readouterr().err
    assert "reconnecting" in err
    assert TOKEN not in err


async def test_the_time_of_a_post_is_when_it_was_made(
    server: Peer, stream: Callable[..., XSource]
) -> None:
    """The time is created_at; a post without it has no time of its own."""
    server.start(10)
    times = [batch.timestamp_ms for batch in await take(stream(), 10)]
    assert times == [None if n % 10 == 2 else FIRST_MS + 1000 * n for n in range(10)]


async def test_the_wait_after_a_rate_limit_is_the_servers(
    server: Peer, stream: Callable[..., XSource]
) -> None:
    """The wait follows x-rate-limit-reset, not a guess."""
    server.start(10, acts=[{"status": 429, "reset_in": 2}])
    await take(stream(), 10)
    refused, taken = [r for r in server.requests if r["path"].endswith("/stream")]
    assert refused["status"] == 429
    assert 1 <= taken["at"] - refused["at"] < 20


@pytest.mark.parametrize("status", [400, 401, 403, 409])
async def test_a_permanent_refusal_ends_the_source_with_xs_reason(
    server: Peer, stream: Callable[..., XSource], status: int
) -> None:
    """Retries would only use up the limit."""
    server.start(10, acts=[{"status": status, "body": {"detail": "because of that"}}])
    with pytest.raises(SourceError, match=f"X answers {status} because of that"):
        await take(stream(), 10)


async def test_rules_are_added_once_and_deleted(
    server: Peer, stream: Callable[..., XSource]
) -> None:
    """Present rules stay unchanged; the error names a wrong one."""
    server.start(1)
    await opened(stream(add=["cats", "dogs"]))
    await opened(stream(add=["dogs", "birds"], delete=["1"]))
    changes = [r["body"] for r in server.requests if "body" in r]
    assert changes == [
        {"add": [{"value": "cats"}, {"value": "dogs"}]},
        {"delete": {"ids": ["1"]}},
        {"add": [{"value": "birds"}]},
    ]
    with pytest.raises(ConfigurationError, match=r"rule 'a \(b'.*closing parenthesis"):
        await opened(stream(add=["a (b"]))
    with pytest.raises(ConfigurationError, match="no rule 99"):
        await opened(stream(delete=["99"]))


async def test_wrong_tokens_and_missing_rules_are_reported(
    server: Peer, stream: Callable[..., XSource]
) -> None:
    """The error does not contain the token."""
    server.start(1)
    with pytest.raises(UnavailableError, match="401 Unauthorized") as caught:
        await opened(stream(token="wrong-token"))  # noqa: S106 - a wrong token on purpose
    assert "wrong-token" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="no rules"):
        await opened(stream(add=[]))


async def test_n_posts_are_n_lines_in_kafka_though_the_server_is_killed(
    server: Peer, kafka: EmbeddedKafka, unique: str, tmp_path: Path
) -> None:
    """With backfill a restarted server sends the posts again, and the source skips them."""
    server.start(4000, rate=1500)
    arguments = ("--rule", "cats", "--backfill", "5", "--json", "--endpoint")
    endpoint = f"http://127.0.0.1:{server.port}"
    producer = Producer(
        kafka.address, unique, tmp_path, "x", *arguments, endpoint, X_BEARER_TOKEN=TOKEN
    ).start()
    try:
        await delivered(kafka.address, unique, 1000)
        server.kill()
        producer.wait_until(lambda: "reconnecting" in producer.said)
        server.start(4000)
        await delivered(kafka.address, unique, 4000)
        figures = producer.stop()
    finally:
        producer.kill()
    assert (figures["status"], figures["lines"]) == (0, 4000), producer.said
    assert Counter(await lines_in(kafka.address, unique)) == Counter(expected(4000))
    assert TOKEN not in producer.said


async def test_rules_can_be_listed_without_kafka(server: Peer, tmp_path: Path) -> None:
    """`produce x --rules` prints the rules and ends."""
    server.start(1)
    endpoint = f"http://127.0.0.1:{server.port}"
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    producer = Producer(
        "127.0.0.1:1", "none", tmp_path, "x", "--rules", "--rule", "cats OR dogs",
        "--token-file", str(token), "--endpoint", endpoint,
    ).start()  # fmt: skip
    assert producer.end()["status"] == 0
    assert producer.said == "1 cats OR dogs\n"
