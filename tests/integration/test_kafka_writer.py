"""Writers on a real Kafka: who is fenced, and how a commit ended whose answer got lost."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from app.errors import ConfigurationError, UnavailableError
from app.kafka import producer as writers
from app.kafka.offsets import CommittedOffsets
from app.kafka.producer import FencedError, PartitionRecords, Record, TransactionalProducer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from app.embedded import EmbeddedKafka

    Make = Callable[..., TransactionalProducer]


class Reading(CommittedOffsets):
    """Committed offsets; `meanwhile` runs after they were read and before they are returned."""

    async def read(self, partition: TopicPartition) -> Any:
        """Read, then let the rest happen."""
        found = await super().read(partition)
        await self.meanwhile()
        return found

    async def meanwhile(self) -> None:
        """Nothing, unless a test says otherwise."""


@pytest.fixture
async def offsets(kafka: EmbeddedKafka, unique: str) -> AsyncIterator[Reading]:
    """Reads the offsets of a group of this test's own."""
    reading = Reading(unique, [kafka.address])
    yield reading
    await reading.close()


@pytest.fixture
async def make(
    kafka: EmbeddedKafka,
    unique: str,
    offsets: Reading,
    create_topic: Callable[..., Awaitable[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Make]:
    """`make()` is one more writer of the same name and the same source."""
    monkeypatch.setattr(writers, "RETRY_SECONDS", 0.01)
    topic = await create_topic(unique)
    made = []

    def new() -> TransactionalProducer:
        source = TopicPartition(topic, 0)
        made.append(TransactionalProducer(unique, source, unique, [kafka.address], offsets))
        return made[-1]

    yield new
    await asyncio.gather(*(writer.close() for writer in made))


async def committed(kafka: EmbeddedKafka, topic: str, records: int) -> list[bytes]:
    """The committed records of a topic: as many as there should be, and any that come with them."""
    async with AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka.address,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    ) as consumer:
        found: list[bytes] = []
        async with asyncio.timeout(120):
            while len(found) < records:
                for batch in (await consumer.getmany(timeout_ms=100)).values():
                    found.extend(record.value for record in batch)
        return found


def words(writer: TransactionalProducer, *values: bytes) -> list[PartitionRecords]:
    """Records for the topic that the writer's offsets are of."""
    return [PartitionRecords(writer.source, [Record(None, value) for value in values])]


async def test_a_topic_that_may_not_be_written_is_not_tried_for_ever(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing right raises at once, with the writer and the topic that lack it."""
    writer = make()
    await writer.open()

    async def refuse(*_: Any, **__: Any) -> None:
        raise TopicAuthorizationFailedError(writer.source.topic)

    monkeypatch.setattr(AIOKafkaProducer, "send_batch", refuse)
    with pytest.raises(UnavailableError, match="Kafka refuses the transactional producer") as told:
        await writer.commit(words(writer, b"one"), 1)
    assert writer.source.topic in str(told.value)
    assert "grant it write rights" in str(told.value)


async def test_the_offset_that_an_opened_producer_reads_is_final(
    make: Make, offsets: Reading, kafka: EmbeddedKafka, unique: str
) -> None:
    """A zombie that commits while the offset is read is fenced: its work is done again, once."""
    zombie = make()
    await zombie.open()
    await zombie.commit(words(zombie, b"one"), 1, "first")
    fenced = []

    async def commit() -> None:
        offsets.meanwhile = lambda: asyncio.sleep(0)  # type: ignore[method-assign]  # once
        try:
            await zombie.commit(words(zombie, b"two"), 2, "second")
        except FencedError:
            fenced.append(zombie)

    offsets.meanwhile = commit  # type: ignore[method-assign]  # what happens while it is read
    successor = make()
    position = await successor.open()
    assert (position.offset, position.metadata) == (1, "first")
    assert fenced == [zombie]
    await successor.commit(words(successor, b"two"), 2, "second")
    assert await committed(kafka, unique, 2) == [b"one", b"two"]


@pytest.mark.parametrize("error", [KafkaError("away"), AssertionError("no bootstrap")])
async def test_opening_is_tried_until_a_broker_answers(
    make: Make, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A broker that goes away in the middle of it, however the client says so, ends nothing."""
    start, tried = AIOKafkaProducer.start, []

    async def starting(producer: AIOKafkaProducer) -> None:
        tried.append(producer)
        if len(tried) == 1:
            raise error
        await start(producer)

    monkeypatch.setattr(AIOKafkaProducer, "start", starting)
    monkeypatch.setattr(writers, "RETRY_SECONDS", 0.01)
    assert (await make().open()).offset == -1
    assert len(tried) == 2


async def test_a_batch_of_unknown_offset_is_written_again(
    make: Make, kafka: EmbeddedKafka, unique: str
) -> None:
    """A broker that was restarted may know of a batch that it has it, but not where."""
    writer = make()
    await writer.open()
    producer: Any = writer._producer
    send = producer.send_batch

    async def sending(*batch: Any, **options: Any) -> asyncio.Future[Any]:
        await (await send(*batch, **options))
        answered: asyncio.Future[Any] = asyncio.Future()
        answered.set_result(SimpleNamespace(offset=-1))
        return answered

    producer.send_batch = sending
    written = await writer.commit(words(writer, b"one", b"two"), 2, "mark")
    assert list(written.values()) == [4]  # after both records and the marker of what was aborted
    assert await committed(kafka, unique, 2) == [b"one", b"two"]
    assert (await make().open()).offset == 2


@pytest.mark.parametrize("took_effect", [True, False])
async def test_a_commit_whose_answer_is_lost_takes_effect_once(
    make: Make, kafka: EmbeddedKafka, unique: str, took_effect: bool
) -> None:
    """Whether the broker had committed or not, the records are there once, with their offset."""
    writer = make()
    await writer.open()
    producer: Any = writer._producer
    commit = producer.commit_transaction

    async def losing_the_answer() -> None:
        if took_effect:
            await commit()
        raise KafkaError("no answer")

    producer.commit_transaction = losing_the_answer
    await writer.commit(words(writer, b"one", b"two"), 2, "mark")
    await writer.commit(words(writer, b"three"), 3, "mark")
    assert await committed(kafka, unique, 3) == [b"one", b"two", b"three"]
    assert (await make().open()).offset == 3


async def test_a_time_that_kafka_refuses_is_reported_and_not_retried_for_ever(
    make: Make, kafka: EmbeddedKafka, unique: str
) -> None:
    """The error names the topic and the settings; nothing of the transaction is there."""
    writer = make()
    await writer.open()
    lines = TopicPartition(unique, 0)
    ahead = (time.time_ns() // 1_000_000) + 2 * 3_600_000
    records = [Record(None, b"now"), Record(None, b"in two hours", ahead)]
    with pytest.raises(ConfigurationError, match=rf"{unique}; raise .*message.timestamp.after"):
        await asyncio.wait_for(writer.commit([PartitionRecords(lines, records)], 1), 120)
    again = make()
    await again.open()
    await again.commit([PartitionRecords(lines, records[:1])], 1)
    assert await committed(kafka, unique, 1) == [b"now"]
