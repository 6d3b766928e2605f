"""`faust -A app produce` in a process that a test can kill, and what it brought to Kafka."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from app.embedded.process import Process

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Producer", "arrived", "lines_of", "records_of"]


class Producer:
    """One subcommand with its arguments; `start` may be called again after its end."""

    def __init__(self, broker: str, topic: str, folder: Path, *arguments: str, **more: str) -> None:
        self._command = [sys.executable, "-m", "faust", "-A", "app", "produce", *arguments]
        self._environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith("WORDCOUNT_")},
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "WORDCOUNT_BROKER": f"kafka://{broker}",
            "WORDCOUNT_LINES": topic,
            "WORDCOUNT_ID": topic,
            **more,
        }
        self.output = folder / f"producer-{len(list(folder.glob('producer-*')))}.log"
        self._process: Process | None = None

    def start(self) -> Producer:
        """Start it, and go on."""
        self._process = Process(self._command, self.output, self._environ)
        return self

    @property
    def said(self) -> str:
        """All that it has said so far."""
        return self.output.read_text() if self.output.exists() else ""

    def wait_until(self, condition: Callable[[], Any], seconds: float = 120) -> Any:
        """What the condition returns once it is true."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, f"not within {seconds} s:\n{self.said}"
            time.sleep(0.02)
        return value

    def kill(self) -> None:
        """End it at once, if it lives (SIGKILL)."""
        if self._process is not None and self._process.running:
            self._process.kill()

    def stop(self, seconds: float = 120) -> dict[str, Any]:
        """End it by Ctrl-C; the figures that it prints with --json."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGINT)
        return self.end(seconds)

    def end(self, seconds: float = 120) -> dict[str, Any]:
        """Wait for its end; the figures that it prints with --json."""
        assert self._process is not None
        self.wait_until(lambda: not self._process.running, seconds)
        return {"status": self._process.exit_status, **self._figures()}

    def _figures(self) -> dict[str, Any]:
        last = [line for line in self.said.splitlines() if line.startswith("{")]
        return json.loads(last[-1]) if last else {}


async def records_of(broker: str, topic: str) -> list[Any]:
    """Every committed record of a topic, in order by partition; none when it is not there."""
    client = AIOKafkaConsumer(
        bootstrap_servers=broker, enable_auto_commit=False, isolation_level="read_committed"
    )
    await client.start()
    try:
        if topic not in await client.topics():
            return []
        numbers = await client._client._wait_on_metadata(topic)
        partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
        client.assign(partitions)
        await client.seek_to_beginning(*partitions)
        records: dict[TopicPartition, list[Any]] = {partition: [] for partition in partitions}
        ends = await client.end_offsets(partitions)
        while any([await client.position(p) < end for p, end in ends.items()]):
            for partition, found in (await client.getmany(timeout_ms=200)).items():
                records[partition] += found
        return [record for partition in partitions for record in records[partition]]
    finally:
        await client.stop()


async def lines_of(broker: str, topic: str) -> list[bytes]:
    """Every committed line of a topic."""
    return [
        line for record in await records_of(broker, topic) for line in record.value.split(b"\n")
    ]


async def arrived(broker: str, topic: str, number: int, seconds: float = 240) -> None:
    """Wait until a topic holds so many lines."""
    deadline = time.monotonic() + seconds
    found = 0
    while found < number:
        assert time.monotonic() < deadline, f"{found} lines of {number} in {seconds} s"
        # A broker that is just starting refuses some.
        with suppress(KafkaError):
            found = len(await lines_of(broker, topic))
        await asyncio.sleep(0.05)
