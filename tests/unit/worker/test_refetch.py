"""Fetching blocks again that did not come."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError
from faust.types import TP

from app.kafka.offset_loss import OffsetLossError, OffsetRange
from app.worker import refetch as module
from app.worker.refetch import IdleCheck, Refetch

LINES = TP("lines", 1)


class FakeKafka:
    """A consumer whose partition holds offsets 0 to 8, and a stage with one task on it."""

    def __init__(self) -> None:
        self.range = OffsetRange(0, 9)
        self.seeks: list[tuple[TP, int]] = []
        self.errors: list[BaseException] = []
        self.raises: list[Exception] = []
        self.topic = LINES.topic
        self.generation = 1
        self.task = SimpleNamespace(next_offset=4, committed=(4, ""))
        self.tasks = {1: self.task}
        self.resets: list[OffsetRange] = []
        self.consumer = SimpleNamespace(seek=self.seek)
        typed: Any = self
        self.refetch = Refetch(typed, typed, self.errors.append)
        self.idle_check = IdleCheck([typed], typed, self.refetch)

    async def read(self, *partitions: TP) -> dict[TP, OffsetRange]:
        """Return the range of each partition, or raise."""
        if self.raises:
            raise self.raises.pop(0)
        return dict.fromkeys(partitions, self.range)

    async def seek(self, tp: TP, offset: int) -> None:
        """Record a seek."""
        self.seeks.append((tp, offset))

    def reset(self, partition: int, offsets: OffsetRange) -> None:
        """Move the task to the first offset that is left."""
        self.resets.append(offsets)
        task = self.tasks[partition]
        task.next_offset = max(task.next_offset, offsets.log_start)

    def fetch_again(self) -> None:
        """Request the missing block."""
        typed: Any = self
        self.refetch.fetch_again(typed, 1)

    async def until_seeks(self, count: int) -> None:
        """Wait for so many seeks."""
        async with asyncio.timeout(5):
            while len(self.seeks) < count:  # noqa: ASYNC110 - seeks happen in tasks of Refetch
                await asyncio.sleep(0.005)

    async def settle(self) -> None:
        """Give seeks that must not happen the time to happen."""
        await asyncio.sleep(0.06)


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> FakeKafka:
    """A partition with a task, and seeks in quick succession."""
    monkeypatch.setattr(module, "RESEEK_SECONDS", 0.01)
    return FakeKafka()


async def test_the_seek_is_repeated_until_a_block_comes(kafka: FakeKafka) -> None:
    """The block that a seek fetches may get lost as well."""
    kafka.fetch_again()
    kafka.fetch_again()  # a second gap of the same partition starts no second loop
    await kafka.until_seeks(3)
    kafka.task.next_offset = 7
    await asyncio.sleep(0.03)
    seeks = len(kafka.seeks)
    await kafka.settle()
    assert set(kafka.seeks) == {(LINES, 4)}
    assert len(kafka.seeks) == seeks


async def test_a_task_at_the_end_of_its_topic_is_not_sought(kafka: FakeKafka) -> None:
    """There is nothing to fetch."""
    kafka.task.next_offset = 9
    kafka.fetch_again()
    await kafka.settle()
    assert not kafka.seeks
    assert kafka.resets == [kafka.range]


async def test_a_task_continues_where_the_topic_begins_now(kafka: FakeKafka) -> None:
    """Kafka has deleted the records that the task expected: the seek goes behind them."""
    kafka.range = OffsetRange(6, 9)
    kafka.fetch_again()
    await kafka.until_seeks(1)
    assert kafka.seeks[0] == (LINES, 6)
    kafka.tasks.clear()


async def test_a_closed_task_ends_the_seeks(kafka: FakeKafka) -> None:
    """The next assignment seeks by itself."""
    kafka.fetch_again()
    await kafka.until_seeks(1)
    kafka.tasks.clear()
    await asyncio.sleep(0.03)
    seeks = len(kafka.seeks)
    await kafka.settle()
    assert len(kafka.seeks) == seeks


async def test_a_seek_is_retried_while_kafka_is_away(kafka: FakeKafka) -> None:
    """A KafkaError is no failure of the worker."""
    kafka.raises = [KafkaTimeoutError("away"), KafkaTimeoutError("away")]
    kafka.fetch_again()
    await kafka.until_seeks(1)
    assert not kafka.errors
    kafka.tasks.clear()


async def test_offsets_that_must_not_be_missing_stop_the_worker(
    kafka: FakeKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage refuses the loss; the seeks end."""

    def refuse(*_: Any) -> None:
        raise OffsetLossError("gone")

    monkeypatch.setattr(kafka, "reset", refuse)
    kafka.fetch_again()
    await kafka.settle()
    assert [str(error) for error in kafka.errors] == ["gone"]
    assert not kafka.seeks


async def test_an_idle_partition_that_holds_records_is_fetched_again(kafka: FakeKafka) -> None:
    """Nothing has come since the last check, though Kafka holds records from there on."""
    await kafka.idle_check.check()
    await kafka.settle()
    assert not kafka.seeks
    await kafka.idle_check.check()
    await kafka.until_seeks(1)
    assert kafka.seeks[0] == (LINES, 4)
    kafka.tasks.clear()


@pytest.mark.parametrize(
    "busy",
    [
        {"next_offset": 9, "committed": (9, "")},  # all is read
        {"next_offset": 6, "committed": (4, "")},  # blocks are being worked on
    ],
)
async def test_a_partition_with_nothing_to_fetch_is_left_alone(
    kafka: FakeKafka, busy: dict[str, Any]
) -> None:
    """A task at the end of its topic, or with blocks in work, is not sought."""
    vars(kafka.task).update(busy)
    await kafka.idle_check.check()
    await kafka.idle_check.check()
    await kafka.settle()
    assert not kafka.seeks


async def test_a_partition_that_moves_is_not_idle(kafka: FakeKafka) -> None:
    """Blocks have come between two checks."""
    await kafka.idle_check.check()
    kafka.task.next_offset, kafka.task.committed = 5, (5, "")
    await kafka.idle_check.check()
    await kafka.settle()
    assert not kafka.seeks


async def test_tasks_that_do_not_work_yet_are_not_idle(kafka: FakeKafka) -> None:
    """During a rebalance nothing is fetched for them."""
    kafka.generation = -1
    await kafka.idle_check.check()
    await kafka.idle_check.check()
    await kafka.settle()
    assert not kafka.seeks


async def test_an_idle_check_passes_while_kafka_is_away(kafka: FakeKafka) -> None:
    """It raises nothing, and the next check asks again."""
    kafka.raises = [KafkaTimeoutError("away")]
    await kafka.idle_check.check()
    await kafka.idle_check.check()
    await kafka.until_seeks(1)
    kafka.tasks.clear()
