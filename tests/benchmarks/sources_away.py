"""Kafka away for a minute under each source that is fed from outside, at a steady rate.

`python -m tests.benchmarks.sources_away [SOURCE…] [--seconds N]` prints, for each, how many lines
were sent and how many are in Kafka afterwards, once and more than once. Every source is fed all the
time; Kafka is killed (SIGKILL) and started again `--seconds` later.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import zmq

from app.embedded import EmbeddedKafka
from app.embedded.ports import free_port
from app.sources.actor_client import RemoteActor
from tests.benchmarks.sources import ACTOR
from tests.delivered import delivered, lines_in
from tests.producers import Producer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RATE = 2000
"""Lines a second of each feed."""

FILES = 100
"""Files a second, a line each."""


def file(folder: Path, _port: int) -> tuple[list[str], Callable[[bytes], object]]:
    """A log that grows."""
    log = (folder / "log").open("ab", buffering=0)
    return ["file", str(folder / "log"), "--follow"], lambda line: log.write(line + b"\n")


def directory(folder: Path, _port: int) -> tuple[list[str], Callable[[bytes], object]]:
    """A file a line."""
    files = folder / "files"
    files.mkdir()

    def feed(line: bytes) -> None:
        (files / ".new").write_bytes(line + b"\n")
        (files / ".new").rename(files / line.decode())

    return ["directory", str(files)], feed


def tcp(_folder: Path, port: int) -> tuple[list[str], Callable[[bytes], object]]:
    """A server with one client."""
    server = socket.create_server(("127.0.0.1", port))
    peers: list[socket.socket] = []

    def feed(line: bytes) -> None:
        if not peers:
            peers.append(server.accept()[0])
        peers[0].sendall(line + b"\n")

    return ["socket", "127.0.0.1", str(port)], feed


def zeromq(_folder: Path, port: int) -> tuple[list[str], Callable[[bytes], object]]:
    """A pusher."""
    context: Any = zmq.Context.instance()
    peer = context.socket(zmq.PUSH)
    peer.bind(f"tcp://127.0.0.1:{port}")
    return ["zeromq", f"tcp://127.0.0.1:{port}", "--pull"], peer.send


def actor(folder: Path, port: int) -> tuple[list[str], Callable[[bytes], object]]:
    """A client over TCP."""
    (folder / "echo.py").write_text(ACTOR)
    client = RemoteActor("127.0.0.1", port)
    arguments = ["actor", "echo:Echo", "--listen", f"127.0.0.1:{port}"]
    return arguments, lambda line: client.tell(line.decode())


SOURCES = {source.__name__: source for source in (file, directory, tcp, zeromq, actor)}


def feeding(feed: Callable[[bytes], object], rate: int, stop: threading.Event) -> Iterator[int]:
    """Send numbered lines until stopped; how many so far."""
    number = 0
    while not stop.is_set():
        feed(b"%d" % number)
        number += 1
        if number % (rate // 20) == 0:
            time.sleep(0.05)
        yield number


async def measure(name: str, seconds: float) -> str:
    """One source: before, during and after an outage."""
    with EmbeddedKafka() as kafka, TemporaryDirectory() as made:
        folder = Path(made)
        arguments, feed = SOURCES[name](folder, free_port())
        more = {"XDG_STATE_HOME": made, "PYTHONPATH": f"{Path.cwd()}:{made}"}
        producer = Producer(kafka.address, "lines", folder, *arguments, "--json", **more).start()
        stop, sent = threading.Event(), [0]

        def run() -> None:
            rate = FILES if name == "directory" else RATE
            for number in feeding(feed, rate, stop):
                sent[0] = number

        feeder = threading.Thread(target=run, daemon=True)
        feeder.start()
        await delivered(kafka.address, "lines", 200)
        kafka.kill()
        await asyncio.sleep(seconds)
        kafka.start()
        before = time.monotonic()
        await asyncio.sleep(3)
        stop.set()
        await asyncio.to_thread(feeder.join)
        await delivered(kafka.address, "lines", sent[0], 300)
        caught_up = time.monotonic() - before
        figures = producer.stop()
        found = Counter(await lines_in(kafka.address, "lines"))
        missing = sent[0] - len(found)
        twice = sum(found.values()) - len(found)
        return (
            f"{name:<10} {sent[0]:>9,} lines sent, {missing} missing, {twice} twice, "
            f"all there {caught_up:.0f} s after Kafka was back; status {figures['status']}"
        )


async def run(names: list[str], seconds: float) -> None:
    """Measure and print."""
    for name in names:
        print(await measure(name, seconds), flush=True)  # noqa: T201


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sources", nargs="*", default=list(SOURCES), metavar="SOURCE")
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    asyncio.run(run(arguments.sources, arguments.seconds))


if __name__ == "__main__":
    sys.exit(main())
