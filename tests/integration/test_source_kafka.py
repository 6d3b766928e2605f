"""A copy of a topic has every line once, whichever process is killed."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.embedded import EmbeddedKafka
from tests.delivered import administrator, consume, delivered, lines_in
from tests.producers import Producer

FIRST_MS = (int(time.time()) - 3600) * 1000
"""An hour ago: Kafka deletes messages older than its retention."""


@pytest.fixture(scope="module")
def other() -> Iterator[EmbeddedKafka]:
    """A second cluster, to copy from; a test may kill it."""
    with EmbeddedKafka() as kafka:
        yield kafka


@pytest.fixture
async def topics(other: EmbeddedKafka) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client that changes the topics of that cluster."""
    async with administrator(other.address) as client:
        yield client


@pytest.fixture
def fill(
    other: EmbeddedKafka, topics: AIOKafkaAdminClient, unique: str
) -> Callable[..., Awaitable[None]]:
    """`fill(partitions, lines)` creates this test's topic there, with numbered lines."""

    async def fill(partitions: int, lines: int) -> None:
        await topics.create_topics([NewTopic(unique, partitions, 1)])
        await write(other.address, unique, lines)

    return fill


@pytest.fixture
def copy(
    other: EmbeddedKafka, kafka: EmbeddedKafka, unique: str, tmp_path: Path
) -> Iterator[Callable[..., Producer]]:
    """Creates producers that copy this test's topic of the other cluster."""
    made = []

    def make(*arguments: str) -> Producer:
        source = ("--from", f"kafka://{other.address}", "--from-topic", unique)
        made.append(
            Producer(kafka.address, unique, tmp_path, "kafka", "--json", *source, *arguments)
        )
        return made[-1]

    yield make
    for producer in made:
        producer.kill()


async def write(broker: str, topic: str, lines: int) -> None:
    """Write numbered lines, each with a time and a header of its own, to partitions in turn."""
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        numbers = sorted(await producer.partitions_for(topic))
        sent = [
            await producer.send(
                topic,
                b"line %d" % n,
                key=b"key",
                partition=numbers[n % len(numbers)],
                timestamp_ms=FIRST_MS + n // 8,
                headers=[("tens", b"%d" % (n // 80))],
            )
            for n in range(lines)
        ]
        await asyncio.gather(*sent)


async def by_partition(broker: str, topic: str) -> dict[int, list[tuple[Any, ...]]]:
    """(line, time, headers) of every line of each partition, in order."""
    found: dict[int, list[tuple[Any, ...]]] = {}
    for record in await consume(broker, topic):
        for line in (record.value or b"").split(b"\n") if record.value is not None else ():
            found.setdefault(record.partition, []).append((line, record.timestamp, record.headers))
    return found


async def test_a_copy_between_clusters_is_exact_through_kills(
    fill: Callable[..., Awaitable[None]],
    other: EmbeddedKafka,
    kafka: EmbeddedKafka,
    unique: str,
    copy: Callable[..., Producer],
) -> None:
    """Lines keep order, time and headers when the copier and the source's broker are killed."""
    await fill(4, 40_000)
    producer = copy("--rate", "8000")
    for number in (4_000, 10_000, 16_000):
        producer.start()
        await delivered(kafka.address, unique, number)
        producer.kill()
    producer.start()
    there = len(await lines_in(kafka.address, unique))
    await delivered(kafka.address, unique, there + 1_000)
    await asyncio.to_thread(other.kill)
    await asyncio.to_thread(other.start)
    await delivered(kafka.address, unique, 40_000)
    figures = producer.stop()
    assert figures["status"] == 0, producer.said
    assert await by_partition(kafka.address, unique) == await by_partition(other.address, unique)


async def test_aborted_records_and_records_without_a_value_are_not_copied(
    topics: AIOKafkaAdminClient,
    other: EmbeddedKafka,
    kafka: EmbeddedKafka,
    unique: str,
    copy: Callable[..., Producer],
) -> None:
    """Aborted transactions and tombstones are skipped; odd bytes and huge lines are copied."""
    await topics.create_topics(
        [NewTopic(unique, 1, 1, topic_configs={"max.message.bytes": "9000000"})]
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=other.address, transactional_id=unique, max_request_size=9_000_000
    )
    await producer.start()
    huge = b" ".join(b"word%d" % n for n in range(300_000))
    odd = [b"first", b"\xff\xfe not UTF-8", b"", b"NUL \x00 in it", huge, b"two\nlines", None]
    try:
        async with producer.transaction():
            for value in odd:
                await producer.send_and_wait(unique, value, key=b"k", timestamp_ms=FIRST_MS)
        await producer.begin_transaction()
        await producer.send_and_wait(unique, b"never")
        await producer.abort_transaction()
    finally:
        await producer.stop()
    figures = copy("--to-end").start().end()
    assert (figures["status"], figures["lines"]) == (0, 7)
    records = await consume(kafka.address, unique)
    assert (
        b" ".join(b" ".join(r.value.split()) for r in records).split()
        == b" ".join(value for value in odd if value is not None).split()
    )
    assert {record.timestamp for record in records} == {FIRST_MS}
    assert copy("--to-end").start().end()["lines"] == 0


async def test_a_copy_starts_at_the_groups_offsets_and_commits_its_own(
    fill: Callable[..., Awaitable[None]],
    other: EmbeddedKafka,
    unique: str,
    copy: Callable[..., Producer],
) -> None:
    """A copy can take over from another consumer, and tools show its lag."""
    await fill(1, 100)
    partition = TopicPartition(unique, 0)
    group = AIOKafkaConsumer(bootstrap_servers=other.address, group_id=unique)
    await group.start()
    try:
        group.assign([partition])
        await group.commit({partition: 40})
        assert copy("--to-end", "--group", unique).start().end()["lines"] == 60
        assert await group.committed(partition) == 100
    finally:
        await group.stop()


async def test_a_second_copy_of_one_name_takes_over(
    fill: Callable[..., Awaitable[None]],
    other: EmbeddedKafka,
    kafka: EmbeddedKafka,
    unique: str,
    copy: Callable[..., Producer],
) -> None:
    """The first ends with status 1 and the reason; together they copy each line once."""
    await fill(2, 60_000)
    first, second = copy("--rate", "1000").start(), copy()
    await delivered(kafka.address, unique, 2_000)
    second.start()
    await delivered(kafka.address, unique, 60_000)
    assert first.end()["status"] == 1
    assert "another producer has taken over" in first.said
    assert second.stop()["status"] == 0, second.said
    assert await by_partition(kafka.address, unique) == await by_partition(other.address, unique)


async def test_a_recreated_topic_is_refused(
    topics: AIOKafkaAdminClient,
    fill: Callable[..., Awaitable[None]],
    unique: str,
    copy: Callable[..., Producer],
) -> None:
    """Its offsets mean other lines: the copy ends, and the error names the remedy."""
    await fill(1, 100)
    assert copy("--to-end").start().end()["lines"] == 100
    await topics.delete_topics([unique])
    while unique in await topics.list_topics():  # noqa: ASYNC110 - the broker has no event for it
        await asyncio.sleep(0.05)
    await fill(1, 10)
    again = copy("--to-end").start()
    assert again.end()["status"] == 1
    assert "the topic was recreated; copy it with another --group" in again.said
    new = copy("--to-end", "--group", "new").start()
    assert new.end()["lines"] == 10, new.said
