"""Starts `faust -A app produce` for tests, and reads what it has sent."""

from __future__ import annotations

import array
import fcntl
import os
import re
import signal
import subprocess
import sys
import termios
import time
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FAUST = str(Path(sys.executable).with_name("faust"))


class Record(NamedTuple):
    """A message as it is in Kafka."""

    partition: int
    value: bytes
    timestamp: int
    headers: tuple[tuple[str, bytes], ...] = ()


@asynccontextmanager
async def consumer(broker: str) -> AsyncIterator[AIOKafkaConsumer]:
    client = AIOKafkaConsumer(
        bootstrap_servers=broker, enable_auto_commit=False, isolation_level="read_committed"
    )
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


async def assign(client: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    """Read a topic from its beginning, once it is there."""
    numbers = await client._client._wait_on_metadata(topic)
    partitions = [TopicPartition(topic, number) for number in numbers]
    client.assign(partitions)
    await client.seek_to_beginning(*partitions)
    return partitions


async def consume(broker: str, topic: str) -> list[Record]:
    """Everything that is in a topic."""
    async with consumer(broker) as client:
        ends = await client.end_offsets(await assign(client, topic))
        records = []
        while any([await client.position(p) < end for p, end in ends.items()]):
            for partition, found in (await client.getmany(timeout_ms=500)).items():
                records += [
                    Record(partition.partition, r.value, r.timestamp, r.headers) for r in found
                ]
        return records


async def lines_in(broker: str, topic: str) -> list[bytes]:
    """Every line that is in a topic, those of a partition in order."""
    return [line for r in await consume(broker, topic) for line in r.value.split(b"\n")]


async def delivered(broker: str, topic: str, number: int, seconds: float = 90) -> list[bytes]:
    """Wait until a topic holds so many lines; those that it holds then, sorted."""
    deadline = time.monotonic() + seconds
    lines: list[bytes] = []
    async with consumer(broker) as client:
        await assign(client, topic)
        while len(lines) < number:
            assert time.monotonic() < deadline, f"{len(lines)} lines of {number}"
            for found in (await client.getmany(timeout_ms=200)).values():
                lines += [line for record in found for line in record.value.split(b"\n")]
    return sorted(lines)


def count(*texts: bytes) -> Counter[bytes]:
    return Counter(word for text in texts for word in text.split())


class Produce:
    """Starts `faust -A app produce`, for one broker and one topic."""

    def __init__(self, broker: str, topic: str, folder: Path) -> None:
        self._environ = {
            **os.environ,
            "WORDCOUNT_BROKER": f"kafka://{broker}",
            "WORDCOUNT_ID": topic,
            "WORDCOUNT_LINES": topic,
            "XDG_STATE_HOME": str(folder),
        }
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str | Path, **streams: Any) -> subprocess.Popen[bytes]:
        """Start it and go on."""
        process = subprocess.Popen(
            [FAUST, "-A", "app", "produce", *map(str, arguments)],
            env=self._environ,
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            | streams,
        )
        self.processes.append(process)
        return process

    def watch(self, *arguments: str | Path, **streams: Any) -> Watched:
        """Start it and keep what it says in a file that can be read while it runs."""
        number = len(self.processes)
        with (self.folder / f"stderr-{number}").open("wb") as stderr:
            process = self.start(*arguments, stderr=stderr, **streams)
        return Watched(process, self.folder / f"stderr-{number}")

    def __call__(self, *arguments: str | Path, **streams: Any) -> tuple[int, str, str]:
        """Run it to its end: status, stdout, stderr."""
        return end(self.start(*arguments, **streams))


class Watched(NamedTuple):
    """A producer that runs, and the file to which it speaks."""

    process: subprocess.Popen[bytes]
    said: Path

    @property
    def port(self) -> int | None:
        """The port on which it says that it listens."""
        found = re.search(r"Listening on \S+:(\d+)", self.said.read_text())
        return int(found[1]) if found else None

    def kill(self) -> None:
        """End it by kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> tuple[int, str]:
        """End it by Ctrl-C; status and stdout."""
        self.process.send_signal(signal.SIGINT)
        out, _ = self.process.communicate(timeout=60)
        return self.process.returncode, out.decode()


def end(process: subprocess.Popen[bytes], seconds: float = 60) -> tuple[int, str, str]:
    """Wait for the end of a process: status, stdout, stderr."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, (out or b"").decode(), (err or b"").decode()


def unread(pipe: Any) -> int:
    """Bytes that have been written to a pipe and not yet read from it."""
    number = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, number)
    return number[0]
