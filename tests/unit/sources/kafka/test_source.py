"""A copy turns the records of a topic into batches, and resumes where it ended."""

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import TopicPartition

from app.errors import ConfigurationError
from app.sources.base import Batch, Position
from app.sources.kafka.source import KafkaSource
from tests.collecting import batches_of

PARTITION = TopicPartition("raw", 3)


@dataclass
class Record:
    """A record of a consumer, with the attributes that a copy reads."""

    offset: int
    value: bytes | None
    timestamp: int = 5
    headers: tuple[tuple[str, bytes], ...] = field(default=())


def source() -> KafkaSource:
    made = KafkaSource(["a:9092"], "raw", group="copy", target=(["b:9092"], "lines"))
    made._cluster_id = "cluster-a"
    return made


def batches(*records: Record) -> list[Batch]:
    given: list[Any] = list(records)
    return list(source()._batches(PARTITION, given))


def test_records_alike_share_a_batch_with_a_position() -> None:
    """Records of one time and headers share it; the position lies behind the last record."""

    def position(offset: int) -> Position:
        return Position("kafka copy raw 3 cluster-a", {"offset": offset})

    header = (("h", b"v"),)
    assert batches(
        Record(10, b"one"),
        Record(11, b"two\nthree"),
        Record(12, b"", 6),
        Record(14, b"x", 6, header),
    ) == [
        Batch(b"one\ntwo\nthree", 3, 5, position(12), partition_key=3),
        Batch(b"", 1, 6, position(13), partition_key=3),
        Batch(b"x", 1, 6, position(15), headers=header, partition_key=3),
    ]


def test_a_record_without_a_value_has_a_position_but_no_line() -> None:
    """The copy moves past the record, and sends no line for it."""
    (batch,) = batches(Record(7, None, -1))
    assert (batch.lines, batch.text, batch.timestamp_ms) == (0, b"", None)
    assert batch.position == Position("kafka copy raw 3 cluster-a", {"offset": 8})


async def test_a_topic_is_not_copied_to_itself() -> None:
    """Such a copy would have no end."""
    itself = KafkaSource(["a:9092", "b:9092"], "raw", group="copy", target=(["b:9092"], "raw"))
    with pytest.raises(ConfigurationError, match="raw would be copied to itself without end"):
        await itself._refuse_itself()
    await source()._refuse_itself()


class Consumer:
    """A stand-in for a consumer: each fetch returns records of two partitions."""

    def __init__(self, calls: list[str]) -> None:
        self._calls = calls

    async def getmany(self, **_: object) -> dict[TopicPartition, list[Record]]:
        """Return the records."""
        self._calls.append("fetch")
        return {
            PARTITION: [Record(0, b"a", 1), Record(1, b"b", 2), Record(2, b"c", 3)],
            TopicPartition("raw", 1): [Record(0, b"d", 1)],
        }


async def test_partitions_are_listed_before_a_fetch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The listing seeks; records that were fetched before it would come twice."""
    made, calls = source(), list[str]()
    monkeypatch.setattr(made, "_consumer", Consumer(calls))

    async def add_partitions() -> None:
        calls.append("list")

    monkeypatch.setattr(made, "_add_partitions", add_partitions)
    monkeypatch.setattr(made, "_listed_at", float("-inf"))
    async with aclosing(batches_of(made)) as batches:
        await anext(batches)
    assert calls == ["list", "fetch"]


async def test_all_batches_of_a_partition_but_the_last_announce_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So a record of one line costs no task; the event loop runs between partitions."""
    made = source()
    monkeypatch.setattr(made, "_consumer", Consumer([]))
    monkeypatch.setattr(made, "_listed_at", float("inf"))
    async with aclosing(batches_of(made)) as batches:
        at_hand = [(await anext(batches), made.at_hand)[1] for _ in range(4)]
    assert at_hand == [True, True, False, False]
