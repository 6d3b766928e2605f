"""Topics that change below the application: deleted records, recreated topics, added partitions."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.protocol.admin import DeleteGroupsRequest

from tests.integration.test_word_count import expected, rows_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from cassandra.cluster import Session

    from app.embedded import EmbeddedKafka

START = (time.time_ns() // 60_000_000_000 - 1) * 60_000
"""Of today: Kafka itself deletes records whose time is past the topic's retention."""


@pytest.fixture
async def ends(kafka: EmbeddedKafka) -> AsyncIterator[Callable[..., Any]]:
    """Return the end offset of partition 0 of a topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.address)
    await consumer.start()

    async def end_of(topic: str) -> int:
        ends = await consumer.end_offsets([TopicPartition(topic, 0)])
        return int(ends[TopicPartition(topic, 0)])

    yield end_of
    await consumer.stop()


async def delete(admin: AIOKafkaAdminClient, topic: str, before: int) -> None:
    """Delete the records of partition 0 below an offset."""
    await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before)})


def lost(worker: Any) -> int:
    """Lines that a worker says are gone."""
    found = re.search(r"lost_records_total ([\d.]+)", str(worker.get("/metrics")[1]))
    return int(float(found[1])) if found else 0


def last_error(worker: Any, seconds: float = 60) -> str:
    """The line with which a worker ends by itself, and its exit status."""
    status = worker.wait_for_end(seconds)
    last = worker.output.rstrip().rpartition("\n")[2]
    return f"{status} {last}"


async def delete_unread(
    running: Any, stream: Any, session: Session, admin: Any, lines: list[tuple[str, int]]
) -> None:
    """Let a worker count the first of these lines; delete the others before it reads them."""
    await stream.produce(lines[:1])
    running.wait_until(lambda: rows_of(session, stream.name))
    running.pause()
    # A fetch that waits at the broker is answered with the first of these.
    await stream.produce(lines[1:2])
    await stream.produce(lines[2:])
    await delete(admin, stream.lines, len(lines))
    running.resume()


async def test_lines_that_kafka_deletes_below_a_worker_are_named_and_counted(
    stream: Any, worker: Any, session: Session, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is behind the retention says once what is lost, and counts the rest.

    Partitions that are added end it: words are dealt out by their number.
    """
    monkeypatch.setenv("CONSUMER_METADATA_MAX_AGE_MS", "500")
    running = worker(partitions="1")
    lines = [(f"word{number}", START) for number in range(30)]
    await delete_unread(running, stream, session, admin, lines[:20])
    await stream.produce(lines[20:])
    running.wait_until(lambda: len(rows_of(session, stream.name)) + lost(running) == len(lines))
    assert lost(running) > 0
    assert expected(lines[20:]).items() <= rows_of(session, stream.name).items()
    assert running.output.count("are gone before they were counted") == 1
    await admin.create_partitions({stream.lines: NewPartitions(2)})
    assert last_error(running).startswith(f"2 Error: topic {stream.lines} has 2 partitions, not 1")


async def test_lines_that_are_gone_are_passed_over_though_none_come_after_them(
    stream: Any, worker: Any, session: Session, admin: Any
) -> None:
    """No block follows deleted records: the worker checks by itself, and its lag becomes 0."""
    running = worker(partitions="1")
    lines = [(f"word{number}", START) for number in range(10)]
    await delete_unread(running, stream, session, admin, lines)

    def behind() -> int:
        [own] = running.get("/api/local/status")[1]["partitions"]
        return int(own["lines_lag"])

    running.wait_until(lambda: lost(running) + len(rows_of(session, stream.name)) == len(lines))
    running.wait_until(lambda: behind() == 0)
    assert lost(running) > 0


async def test_partial_counts_and_rows_that_are_gone_stop_a_worker(
    stream: Any, worker: Any, session: Session, admin: Any, kafka: Any, ends: Any
) -> None:
    """A worker whose counts would stay too low does not start, and gives the reason in one line."""
    running = worker(partitions="1")
    await stream.produce([("one two", START)])
    running.wait_until(lambda: len(rows_of(session, stream.name)) == 2)
    assert running.stop() == 0
    changelog, partials = f"{stream.name}-word_counts-changelog", f"{stream.name}-partials"
    async with AIOKafkaProducer(bootstrap_servers=kafka.address) as producer:
        await producer.send_and_wait(partials, b"not read by anybody", partition=0)
    gone = await ends(partials)
    await delete(admin, partials, gone)
    error = last_error(stream.start(ready=False))
    assert re.match(rf"1 Error: topic {partials}, partition 0: offsets \d+ to {gone - 1} a", error)
    async with AIOKafkaConsumer(bootstrap_servers=kafka.address, group_id=stream.name) as operator:
        operator.assign([TopicPartition(partials, 0)])
        await operator.commit({TopicPartition(partials, 0): gone})
    await admin.delete_topics([changelog])
    await remade(admin, changelog)
    error = last_error(stream.start(ready=False))
    assert error.startswith(f"1 Error: topic {changelog}, partition 0 begins at offset 0"), error


async def test_offsets_that_are_gone_stop_a_worker(
    stream: Any, worker: Any, session: Session, admin: Any
) -> None:
    """They expire while no worker runs for days. Nothing is counted twice."""
    running = worker(partitions="1")
    await stream.produce([("one two", START)])
    running.wait_until(lambda: len(rows_of(session, stream.name)) == 2)
    assert running.stop() == 0
    coordinator = await admin.find_coordinator(stream.name)
    answer = await admin._send_request(DeleteGroupsRequest([stream.name]), coordinator)
    assert answer.results == [(stream.name, 0)]
    again = stream.start(ready=False)
    error = last_error(again)
    assert re.match(
        rf"1 Error: topic {stream.name}\S+, partition 0: Kafka holds no committed offset", error
    ), error
    assert "Traceback" not in again.output
    assert rows_of(session, stream.name) == expected([("one two", START)])


async def test_lines_of_a_recreated_topic_are_counted_beside_the_old_ones(
    stream: Any, worker: Any, session: Session, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A running worker begins the new topic at its start, and goes on with the counts it has.

    Of its own topics none may go: then it ends with a line.
    """
    monkeypatch.setenv("CONSUMER_METADATA_MAX_AGE_MS", "500")
    running = worker(partitions="1")
    lines = [("old", START)] * 50
    await stream.produce(lines)
    running.wait_until(lambda: rows_of(session, stream.name) == expected(lines))
    await admin.delete_topics([stream.lines])
    await remade(admin, stream.lines)
    new = [("new", START)] * 5
    await stream.produce(new)
    running.wait_until(lambda: rows_of(session, stream.name) == expected(lines + new))
    await admin.delete_topics([f"{stream.name}-word_counts-changelog"])
    assert last_error(running).startswith(f"1 Error: topic {stream.name}-word_counts-changelog is")


async def remade(admin: AIOKafkaAdminClient, topic: str) -> None:
    """Make a topic of one partition as soon as the one that is being deleted lets go."""
    # Kafka has no notification for the end of a deletion.
    while (await admin.create_topics([NewTopic(topic, 1, 1)])).topic_errors[0][1]:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
