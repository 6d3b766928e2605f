"""Committed offsets, asked of a Kafka that does not know them yet."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupLoadInProgressError, KafkaError
from aiokafka.protocol.commit import OffsetFetchRequest, OffsetFetchResponse_v3
from aiokafka.structs import OffsetAndMetadata

from app.embedded import EmbeddedKafka
from app.kafka.offsets import CommittedOffsets

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUP, TOPIC = "group", "topic"
PARTITIONS, COMMITS = 200, 200


@pytest.fixture
def broker() -> Iterator[EmbeddedKafka]:
    """A broker that may be killed."""
    with EmbeddedKafka() as broker:
        yield broker


async def commit(broker: EmbeddedKafka) -> None:
    """Commit so often, with so much metadata, that a broker takes a while to read it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])
    await admin.close()
    partitions = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker.address, group_id=GROUP, enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign(partitions)
        for number in range(1, COMMITS + 1):
            position = OffsetAndMetadata(number, "x" * 4000)
            await consumer.commit(dict.fromkeys(partitions, position))
    finally:
        await consumer.stop()


async def test_a_coordinator_that_loads_is_not_taken_to_know_of_no_offset(
    kafka: EmbeddedKafka, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer names no partition, and one error for the whole group."""
    send = AIOKafkaAdminClient._send_request
    loading = [GroupLoadInProgressError.errno]

    async def answer(self: AIOKafkaAdminClient, request: Any, *more: Any) -> Any:
        if isinstance(request, OffsetFetchRequest) and loading:
            return OffsetFetchResponse_v3(0, [], loading.pop())
        return await send(self, request, *more)

    offsets = CommittedOffsets(unique, [kafka.address])
    deadline = time.monotonic() + 60
    while True:
        try:
            await offsets.read(TopicPartition(unique, 0))
            break
        except KafkaError:  # a new broker creates its topic of offsets now
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
    monkeypatch.setattr(AIOKafkaAdminClient, "_send_request", answer)
    with pytest.raises(GroupLoadInProgressError, match=f"offsets of group {unique}"):
        await offsets.read(TopicPartition(unique, 0))
    assert (await offsets.read(TopicPartition(unique, 0))).offset == -1
    await offsets.close()


async def test_readers_share_one_connection(
    kafka: EmbeddedKafka, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All tasks read at once after an assignment; after an error one reader reconnects for all."""
    opened, closed = [], []
    start, close = AIOKafkaAdminClient.start, AIOKafkaAdminClient.close

    async def counted_start(self: AIOKafkaAdminClient) -> None:
        opened.append(self)
        await start(self)

    async def counted_close(self: AIOKafkaAdminClient) -> None:
        closed.append(self)
        await close(self)

    monkeypatch.setattr(AIOKafkaAdminClient, "start", counted_start)
    monkeypatch.setattr(AIOKafkaAdminClient, "close", counted_close)
    offsets = CommittedOffsets(unique, [kafka.address])

    async def read() -> None:
        async with asyncio.timeout(120):
            while True:
                with contextlib.suppress(KafkaError):
                    await offsets.read(TopicPartition(unique, 0))
                    return
                await asyncio.sleep(0.05)

    await asyncio.gather(*(read() for _ in range(8)))
    before = len(opened)
    assert len(set(opened) - set(closed)) == 1
    with monkeypatch.context() as patched:

        async def fail(*_: Any) -> None:
            await asyncio.sleep(0.1)  # all ask before one is answered
            raise KafkaError("away")

        patched.setattr(AIOKafkaAdminClient, "_send_request", fail)
        answers = [offsets.read(TopicPartition(unique, 0)) for _ in range(8)]
        found = await asyncio.gather(*answers, return_exceptions=True)
        assert all(isinstance(answer, KafkaError) for answer in found)
    assert set(opened) == set(closed)
    await asyncio.gather(*(read() for _ in range(8)))
    assert len(opened) == before + 1
    await offsets.close()
    assert set(opened) == set(closed)


async def test_a_broker_that_still_reads_its_log_is_not_taken_to_know_of_no_offset(
    broker: EmbeddedKafka,
) -> None:
    """A broker that still loads its log after a crash makes the reader wait for the true offset."""
    await commit(broker)
    await asyncio.to_thread(broker.kill)
    start = asyncio.create_task(asyncio.to_thread(broker.start))
    found: set[int] = set()
    deadline = time.monotonic() + 120
    while COMMITS not in found:
        assert time.monotonic() < deadline, found
        offsets = CommittedOffsets(GROUP, [broker.address])
        with contextlib.suppress(KafkaError, OSError):
            for _ in range(100):
                found.add((await offsets.read(TopicPartition(TOPIC, 7))).offset)
        await offsets.close()
        await asyncio.sleep(0.01)
    await start
    assert found == {COMMITS}
    assert (await offsets.read(TopicPartition("another", 0))).offset == -1
    await offsets.close()
