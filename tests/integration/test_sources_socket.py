"""`produce socket` works with netcat and Pekko Streams: killed, restarted, many at once."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests import debian, pekko
from tests.delivered import delivered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from app.embedded import EmbeddedKafka
    from tests.producers import Produce


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
    """`netcat("-l", …)` starts a netcat, which sends the text written to its stdin."""
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
    """Lines arrive after a kill and a restart, too; an incomplete last line counts."""
    run = produce.watch("socket", "127.0.0.1", str(unused_port))
    for start in (0, 50_000):
        peer = netcat("-l", "127.0.0.1", str(unused_port))
        assert peer.stdin is not None
        await asyncio.to_thread(peer.stdin.write, numbered(start, start + 50_000))
        peer.stdin.flush()
        await delivered(kafka.address, unique, start + 50_000)
        peer.kill()
        peer.wait()
    peer = netcat("-l", "-N", "127.0.0.1", str(unused_port))
    peer.communicate(b"begun", timeout=120)
    found = await delivered(kafka.address, unique, 100_001)
    assert found == sorted([*numbered(0, 100_000).splitlines(), b"begun"])
    assert run.stop() == (0, "100001 lines acknowledged by Kafka\n")
    assert "has closed the connection; retrying" in run.said.read_text()


async def test_every_line_of_pekko_arrives_once(
    produce: Produce,
    kafka: EmbeddedKafka,
    unique: str,
    peers: list[subprocess.Popen[Any]],
    unused_port: int,
) -> None:
    """Lines arrive after a kill and a restart, too."""
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
    """Of more clients than are read at a time, each line arrives once and whole."""
    run = produce.watch("socket", "127.0.0.1", "0", "--listen", "--connections", "2")
    port = wait_until(lambda: run.port)
    for number in range(5):
        path = tmp_path / f"{number}"
        path.write_bytes(numbered(number * 20_000, (number + 1) * 20_000))
        with path.open("rb") as file:
            netcat("-N", "127.0.0.1", str(port), stdin=file)
    assert await delivered(kafka.address, unique, 100_000) == sorted(
        numbered(0, 100_000).splitlines()
    )
    assert run.stop()[0] == 0
