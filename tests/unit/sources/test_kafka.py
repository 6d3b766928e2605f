"""Records of a topic become batches of its partition keys, and a copy goes on where it was."""

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import TopicPartition

from app.errors import ConfigurationError
from app.sources.base import Batch, Position, SourceError
from app.sources.kafka import KafkaSource

PARTITION = TopicPartition("raw", 3)


@dataclass
class Record:
    """What a consumer hands over, as far as a copy looks at it."""

    offset: int
    value: bytes | None
    timestamp: int = 5
    headers: tuple[tuple[str, bytes], ...] = field(default=())


def source() -> KafkaSource:
    made = KafkaSource(["a:9092"], "raw", group="copy", target=(["b:9092"], "lines"))
    made._cluster = "cluster-a"
    return made


def batches(*records: Record) -> list[Batch]:
    given: list[Any] = list(records)
    return list(source()._batches(PARTITION, given))


def test_records_alike_share_a_batch_with_a_position() -> None:
    """By time and headers; each position lies behind the last record, whatever it holds."""

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


def test_a_record_without_a_value_has_no_line_but_is_passed() -> None:
    """A position comes along without lines."""
    (batch,) = batches(Record(7, None, -1))
    assert (batch.lines, batch.text, batch.timestamp_ms) == (0, b"", None)
    assert batch.position == Position("kafka copy raw 3 cluster-a", {"offset": 8})


@pytest.mark.parametrize(("known", "expected"), [(5, 10), (10, 10), (15, 15), (20, 20)])
def test_what_was_deleted_is_counted_and_passed(
    known: int, expected: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Retention may be faster than a copy that was not running."""
    assert source()._within(PARTITION, known, 10, {PARTITION: 20}) == expected
    gone = "5 messages of partition 3 of topic raw are gone" in capsys.readouterr().err
    assert gone == (known == 5)


def test_a_partition_that_ends_before_the_copy_is_another_one() -> None:
    """The topic was made anew."""
    with pytest.raises(SourceError, match="ends at 20, but was copied up to 21"):
        source()._within(PARTITION, 21, 10, {PARTITION: 20})


async def test_a_topic_is_not_copied_to_itself() -> None:
    """It would have no end."""
    itself = KafkaSource(["a:9092", "b:9092"], "raw", group="copy", target=(["b:9092"], "raw"))
    with pytest.raises(ConfigurationError, match="raw would be copied to itself without end"):
        await itself._refuse_itself()
    await source()._refuse_itself()


class Consumer:
    """Stands in for Kafka: one fetch of two partitions."""

    def __init__(self, done: list[str]) -> None:
        self._done = done

    async def getmany(self, **_: object) -> dict[TopicPartition, list[Record]]:
        """Records once."""
        self._done.append("fetch")
        return {
            PARTITION: [Record(0, b"a", 1), Record(1, b"b", 2), Record(2, b"c", 3)],
            TopicPartition("raw", 1): [Record(0, b"d", 1)],
        }


async def test_a_look_at_the_partitions_comes_before_a_fetch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It seeks to what was taken in so far: records that were fetched before would come twice."""
    made, done = source(), list[str]()
    monkeypatch.setattr(made, "_consumer", Consumer(done))

    async def look() -> None:
        done.append("look")

    monkeypatch.setattr(made, "_look", look)
    monkeypatch.setattr(made, "_looked", float("-inf"))
    async with aclosing(made.batches()) as batches:  # type: ignore[type-var] - it is a generator
        await anext(batches)
    assert done == ["look", "fetch"]


async def test_all_but_the_last_record_of_a_partition_are_followed_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that a record of one line costs no task; the loop gets its turn between partitions."""
    made = source()
    monkeypatch.setattr(made, "_consumer", Consumer([]))
    monkeypatch.setattr(made, "_looked", float("inf"))
    async with aclosing(made.batches()) as batches:  # type: ignore[type-var] - it is a generator
        at_hand = [(await anext(batches), made.at_hand)[1] for _ in range(4)]
    assert at_hand == [True, True, False, False]
