"""`produce socket` with real peers: netcat and Pekko Streams, killed, restarted, many at once."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from app.embedded import EmbeddedKafka
from tests import debian, pekko
from tests.delivered import delivered, lines_in
from tests.producers import Produce

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path


@pytest.fixture
def peers() -> Iterator[list[subprocess.Popen[Any]]]:
    """Processes of peers, killed after the test."""
    started: list[subprocess.Popen[Any]] = []
    yield started
    for peer in started:
        peer.kill()
        peer.wait()
        for stream in (peer.stdin, peer.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


@pytest.fixture
def netcat(peers: list[subprocess.Popen[Any]]) -> Callable[..., subprocess.Popen[Any]]:
    """`netcat("-l", …)` starts it; what it sends is written to its stdin."""
    program = debian.program("nc.openbsd", "netcat-openbsd")

    def start(*arguments: str, stdin: Any = subprocess.PIPE) -> subprocess.Popen[Any]:
        command = [program, *arguments]
        peers.append(subprocess.Popen(command, env=debian.environ(), stdin=stdin))
        return peers[-1]

    return start


def numbered(start: int, end: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in range(start, end))


async def test_every_line_of_netcat_arrives_once(
    produce: Produce,
    kafka: EmbeddedKafka,
    unique: str,
    netcat: Callable[..., subprocess.Popen[Any]],
    unused_port: int,
) -> None:
    """Also after it was killed and started again; half a line at its end counts."""
    run = produce.watch("socket", "127.0.0.1", str(unused_port))
    for start in (0, 50_000):
        peer = netcat("-l", "127.0.0.1", str(unused_port))
        await asyncio.to_thread(peer.stdin.write, numbered(start, start + 50_000))
        peer.stdin.flush()
        await delivered(kafka.address, unique, start + 50_000)
        peer.kill()
        peer.wait()
    peer = netcat("-l", "-N", "127.0.0.1", str(unused_port))
    peer.communicate(b"begun", timeout=60)
    found = await delivered(kafka.address, unique, 100_001)
    assert found == sorted([*numbered(0, 100_000).splitlines(), b"begun"])
    assert run.stop() == (0, "100001 lines acknowledged by Kafka\n")
    assert "has closed the connection; trying again" in run.said.read_text()


async def test_every_line_of_pekko_arrives_once(
    produce: Produce,
    kafka: EmbeddedKafka,
    unique: str,
    peers: list[subprocess.Popen[Any]],
    unused_port: int,
) -> None:
    """Also after it was killed and started again."""
    run = produce.watch("socket", "127.0.0.1", str(unused_port))
    for start in (0, 100_000):
        command = await asyncio.to_thread(pekko.command, unused_port, start, start + 100_000)
        peers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))  # noqa: ASYNC220 - short
        await delivered(kafka.address, unique, start + 100_000)
        peers[-1].kill()
        peers[-1].wait()
    found = await delivered(kafka.address, unique, 200_000)
    assert found == sorted(b"pekko %d" % number for number in range(200_000))
    assert run.stop()[0] == 0


async def test_many_netcats_at_once(
    produce: Produce,
    kafka: EmbeddedKafka,
    unique: str,
    netcat: Callable[..., subprocess.Popen[Any]],
    tmp_path: Path,
    wait_until: Callable[..., Any],
) -> None:
    """More than are read at a time: each line once, none torn."""
    run = produce.watch("socket", "127.0.0.1", "0", "--listen", "--connections", "2")
    port = wait_until(lambda: run.port, 30)
    for number in range(5):
        path = tmp_path / f"{number}"
        path.write_bytes(numbered(number * 20_000, (number + 1) * 20_000))
        with path.open("rb") as file:
            netcat("-N", "127.0.0.1", str(port), stdin=file)
    assert await delivered(kafka.address, unique, 100_000) == sorted(
        numbered(0, 100_000).splitlines()
    )
    assert run.stop()[0] == 0


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    """A Kafka of these tests' own, to be ill-treated."""
    with EmbeddedKafka() as own:
        yield own


@contextlib.asynccontextmanager
async def away(broker: EmbeddedKafka) -> AsyncIterator[None]:
    """A Kafka that answers nobody for a while."""
    broker.pause()
    try:
        yield
    finally:
        broker.resume()


async def test_lines_that_came_while_kafka_was_away_survive_kill(
    started: list[Produce],
    broker: EmbeddedKafka,
    unique: str,
    netcat: Callable[..., subprocess.Popen[Any]],
    unused_port: int,
    tmp_path: Path,
    wait_until: Callable[..., Any],
) -> None:
    """With --write-ahead: whatever was read is delivered by the next run, and once."""
    produce = Produce(broker.address, unique, tmp_path)
    started.append(produce)
    arguments = ("socket", "127.0.0.1", str(unused_port), "--write-ahead")
    kept = tmp_path / "wordcount-stream"
    text = numbered(0, 100_000)
    run = produce.watch(*arguments)
    peer = netcat("-l", "127.0.0.1", str(unused_port))
    await asyncio.to_thread(peer.stdin.write, numbered(0, 50_000))
    peer.stdin.flush()
    await delivered(broker.address, unique, 50_000)
    async with away(broker):
        await asyncio.to_thread(peer.stdin.write, numbered(50_000, 100_000))
        peer.stdin.flush()
        wait_until(lambda: "50000 lines wait, trying on" in run.said.read_text(), 60)
        assert list(kept.rglob("*.spill"))
        run.kill()
        peer.kill()
    run = produce.watch(*arguments)
    assert await delivered(broker.address, unique, 100_000) == sorted(text.splitlines())
    assert run.stop()[0] == 0
    assert "that an earlier run kept" in run.said.read_text()
    assert sorted(await lines_in(broker.address, unique)) == sorted(text.splitlines())
    assert not list(kept.rglob("*.spill"))


async def test_giving_up_keeps_lines_for_the_next_run(
    started: list[Produce],
    broker: EmbeddedKafka,
    unique: str,
    tmp_path: Path,
    wait_until: Callable[..., Any],
) -> None:
    """A second Ctrl-C while Kafka is away: what was read from a pipe comes first next time."""
    produce = Produce(broker.address, unique, tmp_path)
    started.append(produce)
    run = produce.watch("stdin", stdin=subprocess.PIPE)
    assert run.process.stdin is not None
    run.process.stdin.write(b"before\n")
    run.process.stdin.flush()
    await delivered(broker.address, unique, 1)
    async with away(broker):
        run.process.stdin.write(numbered(0, 1000))
        run.process.stdin.close()
        run.process.stdin = None
        await asyncio.sleep(1)
        run.process.send_signal(signal.SIGINT)
        wait_until(lambda: "Ctrl-C again gives them up" in run.said.read_text(), 30)
        run.process.send_signal(signal.SIGINT)
        run.process.communicate(timeout=60)
    assert run.process.returncode == 1
    assert "the next run delivers them" in run.said.read_text()
    run = produce.watch("stdin", stdin=subprocess.DEVNULL)
    assert run.process.wait(60) == 0
    found = await lines_in(broker.address, unique)
    # Kafka may have written what it had not acknowledged when it was paused.
    assert set(found) == {b"before", *numbered(0, 1000).splitlines()}
    assert max(Counter(found).values()) <= 2
