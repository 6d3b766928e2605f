"""Measures lines/s of the sources flume, x, bluesky and kafka, and of their peers alone.

`python -m tests.benchmarks.feeds [SOURCE…] [--lines N]` prints a table. The producer runs on
one core; its peer and Kafka have the others. "peer alone" is the same peer with a client that drops
all lines (Flume: a Thrift source that answers OK at once).
"""

from __future__ import annotations

import argparse
import asyncio
import time
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import aiohttp
import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic

from app.embedded import EmbeddedKafka
from app.embedded.ports import free_port
from app.sources.flume.source import FlumeSource
from tests.collecting import batches_of
from tests.delivered import administrator, assign, consumer
from tests.peers.flume import FlumeAgent
from tests.peers.jetstream_server import is_post
from tests.peers.peer import Peer
from tests.peers.x_server import TOKEN
from tests.producers import Producer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FIRST_MS = (int(time.time()) - 3600) * 1000
PARTITIONS = 4
_TOO_FEW = "too few lines to measure: most arrived at once"


class ProducerRate:
    """Measures a producer on one core from its first line: lines/s and CPU time."""

    def __init__(self, kafka: EmbeddedKafka, topic: str) -> None:
        self._broker = kafka.address
        self._topic = topic

    async def of(self, producer: Producer, number: int) -> str:
        """Start the producer, wait for `lines` lines, and end it."""
        await make_topic(self._broker, self._topic)
        # Before the producer starts: otherwise the first look finds most lines at once.
        async with consumer(self._broker) as client:
            await assign(client, self._topic)
            producer.start()
            process = psutil.Process(producer.pid)
            process.cpu_affinity([0])
            lines, seconds, cpu = await self._count(client, process, number)
        producer.stop()
        if lines < number / 2:
            return _TOO_FEW
        return f"{lines / seconds:>10,.0f} lines/s {1e6 * cpu / lines:>8.1f} µs of CPU a line"

    async def _count(
        self, client: AIOKafkaConsumer, process: psutil.Process, number: int
    ) -> tuple[int, float, float]:
        """Return the lines after the first look, with their seconds and CPU time."""
        found = first = 0
        started = before = 0.0
        while found < number:
            fetched = await client.getmany(timeout_ms=1000)
            for records in fetched.values():
                found += sum(record.value.count(b"\n") + 1 for record in records)
            if found and not first:
                first, started, before = found, time.monotonic(), _cpu(process)
        return found - first, time.monotonic() - started, _cpu(process) - before


async def make_topic(broker: str, name: str) -> None:
    """Create a topic with as many partitions as a producer creates."""
    async with administrator(broker) as admin:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1)])


def _cpu(process: psutil.Process) -> float:
    """Seconds of CPU time that a process has used."""
    return float(sum(process.cpu_times()[:2]))


async def flume(kafka: EmbeddedKafka, folder: Path, lines: int) -> tuple[str, str]:
    """Measure Flume: an agent with a file channel, 1000 events a call."""
    text = b"".join(b"line %d of many words\n" % n for n in range(lines))

    def agent(port: int, name: str) -> FlumeAgent:
        made = FlumeAgent(folder / name, port, batch=1000)
        made.put("lines", text)
        return made.start(
            channels_kept_capacity="1000000", channels_kept_transactionCapacity="10000"
        )

    port = free_port()
    source = FlumeSource("127.0.0.1", port)
    await source.open()
    sender = agent(port, "alone")
    alone = await _timed(_answering(source), lines)
    await source.close()
    sender.kill()
    port = free_port()
    sender = agent(port, "together")
    producer = Producer(
        kafka.address, "flume", folder, "flume", "--json", "--listen", f"127.0.0.1:{port}"
    )
    together = await ProducerRate(kafka, "flume").of(producer, lines)
    sender.kill()
    return alone, together


async def _answering(source: FlumeSource) -> Any:
    async with aclosing(batches_of(source)) as batches:
        async for batch in batches:
            if batch.position is not None:
                await source.acknowledge(batch.position)
            yield batch.lines


async def x(kafka: EmbeddedKafka, folder: Path, lines: int) -> tuple[str, str]:
    """The test's server, as fast as it is read."""
    server = Peer("x_server.py", folder)
    server.start(lines)
    url = f"http://127.0.0.1:{server.port}"
    headers = {"Authorization": f"Bearer {TOKEN}"}

    async def posts() -> Any:
        async with (
            aiohttp.ClientSession(url, headers=headers) as session,
            session.get("/2/tweets/search/stream") as response,
        ):
            async for chunk in response.content.iter_any():
                yield chunk.count(b"\n")

    alone = await _timed(posts(), lines)
    server.kill()
    server.start(lines)
    producer = Producer(
        kafka.address, "x", folder, "x", "--json", "--rule", "a", "--endpoint", url,
        X_BEARER_TOKEN=TOKEN,
    )  # fmt: skip
    together = await ProducerRate(kafka, "x").of(producer, lines)
    server.kill()
    return alone, together


async def bluesky(kafka: EmbeddedKafka, folder: Path, lines: int) -> tuple[str, str]:
    """The test's server, as fast as it is read."""
    server = Peer("jetstream_server.py", folder)
    server.start(lines)
    url = f"ws://127.0.0.1:{server.port}/subscribe"

    async def events() -> Any:
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as stream:
            async for _ in stream:
                yield 1

    alone = await _timed(events(), lines)
    producer = Producer(kafka.address, "bluesky", folder, "bluesky", "--json", "--endpoint", url)
    together = await ProducerRate(kafka, "bluesky").of(producer, sum(map(is_post, range(lines))))
    server.kill()
    return alone, together


async def kafka(broker: EmbeddedKafka, folder: Path, lines: int) -> tuple[str, str]:
    """Measure a topic with one line a record, each with its own time."""
    return await _copy(
        broker, folder, "single", [b"line %d of many words" % n for n in range(3 * lines)]
    )


async def kafka_packed(broker: EmbeddedKafka, folder: Path, lines: int) -> tuple[str, str]:
    """Measure a topic as this project's producers fill it: 1000 lines a record."""
    block = b"\n".join(b"line %d of many words" % n for n in range(1000))
    return await _copy(broker, folder, "packed", [block] * (10 * lines // 1000))


async def _copy(
    broker: EmbeddedKafka, folder: Path, topic: str, values: list[bytes]
) -> tuple[str, str]:
    await make_topic(broker.address, topic)
    producer = AIOKafkaProducer(bootstrap_servers=broker.address, compression_type="zstd")
    await producer.start()
    for n, value in enumerate(values):
        await producer.send(topic, value, partition=n % PARTITIONS, timestamp_ms=FIRST_MS + n)
    await producer.stop()
    lines = sum(value.count(b"\n") + 1 for value in values)

    async def records() -> Any:
        client = AIOKafkaConsumer(bootstrap_servers=broker.address)
        await client.start()
        partitions = [TopicPartition(topic, n) for n in range(PARTITIONS)]
        client.assign(partitions)
        await client.seek_to_beginning(*partitions)
        try:
            while True:
                for found in (await client.getmany(timeout_ms=1000, max_records=4000)).values():
                    yield sum(record.value.count(b"\n") + 1 for record in found)
        finally:
            await client.stop()

    alone = await _timed(records(), lines)
    copy = Producer(
        broker.address, f"{topic}-copy", folder, "kafka", "--json", "--from-topic", topic
    )
    return alone, await ProducerRate(broker, f"{topic}-copy").of(copy, lines)


async def _timed(numbers: Any, lines: int) -> str:
    """Measure a client that only counts the lines after its first read."""
    found = first = 0
    started = 0.0
    async with aclosing(numbers):
        async for number in numbers:
            found += number
            if not first:
                first, started = found, time.monotonic()
            if found >= lines:
                break
    if first > lines / 2:
        return _TOO_FEW
    return f"{(lines - first) / (time.monotonic() - started):>10,.0f} lines/s"


SOURCES: dict[str, Callable[[EmbeddedKafka, Path, int], Awaitable[tuple[str, str]]]] = {
    source.__name__: source for source in (flume, x, bluesky, kafka, kafka_packed)
}


async def run(names: list[str], lines: int) -> None:
    """Measure and print."""
    for name in names:
        with EmbeddedKafka() as broker, TemporaryDirectory() as folder:
            alone, together = await SOURCES[name](broker, Path(folder), lines)
            print(f"{name:<13} peer alone {alone}   to Kafka {together}", flush=True)  # noqa: T201


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sources", nargs="*", default=list(SOURCES), metavar="SOURCE")
    parser.add_argument("--lines", type=int, default=200_000)
    arguments = parser.parse_args()
    asyncio.run(run(arguments.sources, arguments.lines))


if __name__ == "__main__":
    main()
