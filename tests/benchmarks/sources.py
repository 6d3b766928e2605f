"""Measures lines/s of the sources for files, sockets, ZeroMQ and actors, and of their peers.

`python -m tests.benchmarks.sources [SOURCE…] [--lines N]` prints a table. The producer runs on
one core; its peer and Kafka have the others. "peer alone" is the same peer with a reader that drops
all lines: `read` for a file, a socket for netcat and Pekko, a puller for a pusher, an actor without
a topic for an actor's client.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import psutil
import zmq

from app.embedded import EmbeddedKafka
from app.embedded.ports import free_port
from app.sources.actor.source import ActorSource
from app.sources.actor_client import RemoteActor
from tests import debian, pekko
from tests.benchmarks.feeds import ProducerRate
from tests.peers.feeds import ACTOR
from tests.producers import Producer

if TYPE_CHECKING:
    from collections.abc import Callable

PUSH = """
import sys, zmq
peer = zmq.Context().socket(zmq.PUSH)
peer.bind(sys.argv[1])
for number in range(int(sys.argv[2])):
    peer.send(b"line %d of many words" % number)
"""


PIECE_LINES = 10_000
PIECE = b"".join(b"line %d of many words\n" % number for number in range(PIECE_LINES))

TIMES = {"actor": 0.1, "zeromq": 1}
"""Factor on --lines for sources that send single messages; for other sources it is 20."""


class SourceBench:
    """One run: its directory, its number of lines, and the measurement of producers."""

    def __init__(self, kafka: EmbeddedKafka, folder: Path, lines: int) -> None:
        self._kafka = kafka
        self.folder = folder
        self.lines = lines
        self.text = folder / "text"
        with self.text.open("wb") as text:
            for _ in range(lines // PIECE_LINES):
                text.write(PIECE)

    async def rate(self, name: str, *arguments: str | Path) -> str:
        """Measure a producer from its first line in Kafka to its last."""
        return await ProducerRate(self._kafka, name).of(
            self._producer(name, *arguments), self.lines
        )

    def finite(self, name: str, *arguments: str | Path) -> str:
        """Return the rate that a finite producer reports at its end."""
        producer = self._producer(name, *arguments).start()
        psutil.Process(producer.pid).cpu_affinity([0])
        figures = producer.end(600)
        assert figures["lines"] == self.lines
        return f"{figures['lines_per_s']:>12,.0f} lines/s"

    def _producer(self, name: str, *arguments: str | Path) -> Producer:
        more = {"XDG_STATE_HOME": str(self.folder), "PYTHONPATH": f"{Path.cwd()}:{self.folder}"}
        arguments = (*arguments, "--json")
        return Producer(self._kafka.address, name, self.folder, *map(str, arguments), **more)

    def alone(self, seconds: float) -> str:
        """Format the rate of a peer alone."""
        return f"{self.lines / seconds:>12,.0f} lines/s"

    def read(self, port: int) -> float:
        """Return the seconds in which a socket's lines are read and dropped."""
        while True:
            try:
                peer = socket.create_connection(("127.0.0.1", port))
                break
            except OSError:
                time.sleep(0.05)
        found, started = 0, 0.0
        with peer:
            while found < self.lines:
                chunk = peer.recv(1 << 18)
                started = started or time.monotonic()
                found += chunk.count(b"\n")
        return time.monotonic() - started


async def file(bench: SourceBench) -> dict[str, str]:
    """Measure a file: plain, and exactly once."""
    started = time.monotonic()
    with bench.text.open("rb", buffering=0) as text:
        while text.read(1 << 18):
            pass
    return {
        "peer alone": bench.alone(time.monotonic() - started),
        "file": bench.finite("file", "file", bench.text),
        "--resume": bench.finite("resume", "file", bench.text, "--resume"),
        "--follow": await bench.rate("follow", "file", bench.text, "--follow"),
    }


async def directory(bench: SourceBench) -> dict[str, str]:
    """Measure a directory of a hundred files."""
    folder = bench.folder / "files"
    folder.mkdir()
    pieces = bench.lines // PIECE_LINES
    for number in range(100):
        share = pieces * (number + 1) // 100 - pieces * number // 100
        (folder / f"{number:03}").write_bytes(PIECE * share)
    return {"directory": await bench.rate("directory", "directory", folder)}


async def netcat(bench: SourceBench) -> dict[str, str]:
    """Measure a socket with netcat, both ways of keeping lines."""
    return await _socket(bench, _netcat(bench))


async def pekko_tcp(bench: SourceBench) -> dict[str, str]:
    """Measure a socket with Pekko Streams' Tcp."""

    def start(port: int) -> subprocess.Popen[Any]:
        command = pekko.command(port, 0, bench.lines)
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)

    return await _socket(bench, start)


def _netcat(bench: SourceBench) -> Callable[[int], subprocess.Popen[Any]]:
    program = debian.program("nc.openbsd", "netcat-openbsd")

    def start(port: int) -> subprocess.Popen[Any]:
        with bench.text.open("rb") as text:
            command = [program, "-l", "127.0.0.1", str(port)]
            return subprocess.Popen(command, stdin=text, env=debian.environ())

    return start


async def _socket(
    bench: SourceBench, start: Callable[[int], subprocess.Popen[Any]]
) -> dict[str, str]:
    found = {}
    for name, more in (("peer alone", None), ("socket", ()), ("--write-ahead", ("--write-ahead",))):
        port = free_port()
        peer = await asyncio.to_thread(start, port)
        if more is None:
            found[name] = bench.alone(await asyncio.to_thread(bench.read, port))
        else:
            topic = f"{name.strip('-')}-{port}"
            found[name] = await bench.rate(topic, "socket", "127.0.0.1", str(port), *more)
        peer.kill()
        peer.wait()
    return found


async def zeromq(bench: SourceBench) -> dict[str, str]:
    """Measure ZeroMQ with a pusher in a separate process."""

    def push(port: int) -> subprocess.Popen[Any]:
        endpoint = f"tcp://127.0.0.1:{port}"
        return subprocess.Popen([sys.executable, "-c", PUSH, endpoint, str(bench.lines)])

    def pull(port: int) -> float:
        context: Any = zmq.Context()
        peer = context.socket(zmq.PULL)
        peer.connect(f"tcp://127.0.0.1:{port}")
        peer.recv()
        started = time.monotonic()
        for _ in range(bench.lines - 1):
            peer.recv()
        context.destroy(linger=0)
        return time.monotonic() - started

    port = free_port()
    peer = push(port)
    alone = bench.alone(await asyncio.to_thread(pull, port))
    peer.wait()
    port = free_port()
    peer = push(port)
    rate = await bench.rate("zeromq", "zeromq", f"tcp://127.0.0.1:{port}", "--pull")
    peer.wait()
    return {"peer alone": alone, "zeromq --pull": rate}


async def actor(bench: SourceBench) -> dict[str, str]:
    """Measure an actor with one client over TCP; alone, a local actor drops the lines."""
    (bench.folder / "echo.py").write_text(ACTOR)
    sys.path.insert(0, str(bench.folder))
    from echo import Echo  # type: ignore[import-not-found]  # written above

    def tell(port: int) -> None:
        with RemoteActor("127.0.0.1", port) as client:
            for number in range(bench.lines):
                client.tell(f"line {number} of many words")
            client.flush()

    source = ActorSource(Echo, ("127.0.0.1", port := free_port()))
    await source.open()
    threading.Thread(target=tell, args=(port,), daemon=True).start()
    found, started = 0, 0.0
    async for batch in source.batches():
        started = started or time.monotonic()
        found += batch.lines
        await source.acknowledge(batch.position)
        if found == bench.lines:
            break
    alone = bench.alone(time.monotonic() - started)
    await source.close()
    port = free_port()
    client = threading.Thread(target=tell, args=(port,), daemon=True)
    client.start()
    rate = await bench.rate("actor", "actor", "echo:Echo", "--listen", f"127.0.0.1:{port}")
    return {"peer alone": alone, "actor --listen": rate}


SOURCES = {
    source.__name__: source for source in (file, directory, netcat, pekko_tcp, zeromq, actor)
}


async def run(names: list[str], lines: int) -> None:
    """Measure and print."""
    for name in names:
        with EmbeddedKafka() as broker, TemporaryDirectory() as folder:
            number = int(lines * TIMES.get(name, 20)) // PIECE_LINES * PIECE_LINES
            for what, rate in (
                await SOURCES[name](SourceBench(broker, Path(folder), number))
            ).items():
                print(f"{name:<10} {what:<16} {rate}", flush=True)  # noqa: T201


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sources", nargs="*", default=list(SOURCES), metavar="SOURCE")
    parser.add_argument("--lines", type=int, default=1_000_000)
    arguments = parser.parse_args()
    asyncio.run(run(arguments.sources, arguments.lines))


if __name__ == "__main__":
    main()
