"""An idempotent delivery keeps order, limits what waits, and reports how far Kafka has come."""

import asyncio

import pytest
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from app.sources.base import Batch
from app.sources.delivery import idempotent
from app.sources.delivery.contract import LINGER_SECONDS, DeliveryError, Totals
from app.sources.delivery.idempotent import IdempotentDelivery
from app.sources.delivery.intake import Intake
from app.sources.delivery.packing import Message
from app.sources.delivery.topic import TopicLimits
from tests.clock import Clock, waiting


class FakeProducer:
    """A fake at the port: accepts messages, and acknowledges them when a test does."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, Message]] = []
        self.futures: list[asyncio.Future[object]] = []
        self.refusals = 0
        self.abandoned: bool | None = None
        self.leaderless: set[int] = set()

    async def start(self) -> None:
        """Connect to nothing."""

    async def send(self, message: Message, partition: int) -> asyncio.Future[object]:
        """Accept a message, once it has raised so many errors."""
        if self.refusals:
            self.refusals -= 1
            raise KafkaTimeoutError
        self.sent.append((partition, message))
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]

    async def stop(self, *, abandon: bool) -> None:
        """Note how it was stopped."""
        self.abandoned = abandon

    def partitions(self) -> list[int]:
        """Three partitions."""
        return [0, 1, 2]

    def available_partitions(self) -> list[int]:
        """Those that have a leader."""
        return [number for number in self.partitions() if number not in self.leaderless]

    @property
    def texts(self) -> list[bytes]:
        """The texts that were sent."""
        return [message.value for _, message in self.sent]

    async def acknowledge(self, *numbers: int) -> None:
        """Acknowledge messages by their numbers."""
        for number in numbers:
            self.futures[number].set_result(None)
        await asyncio.sleep(0)

    async def fail(self, number: int, error: Exception) -> None:
        """Refuse a message."""
        self.futures[number].set_exception(error)
        await asyncio.sleep(0)


def delivery_to(
    producer: FakeProducer, clock: Clock | None = None, packed_bytes: int = 0
) -> IdempotentDelivery:
    intake = Intake("lines", TopicLimits(), packed_bytes=packed_bytes)
    return IdempotentDelivery(producer, intake, "lines", clock=clock or Clock())


async def test_lines_are_sent_in_order_and_counted_once_acknowledged() -> None:
    """`drain` waits for the last acknowledgement."""
    producer = FakeProducer()
    async with delivery_to(producer) as delivery:
        for number in range(3):
            await delivery.take(Batch.of([b"line %d" % number]))
        assert producer.texts == [b"line 0", b"line 1", b"line 2"]
        assert delivery.totals == Totals(3, 0, 0, 0, 0, 0)
        async with waiting(asyncio.create_task(delivery.drain())):
            await producer.acknowledge(0, 1, 2)
        assert delivery.totals == Totals(3, 3, 3, 18, 0, 0)
    assert producer.abandoned is False


async def test_lines_wait_for_others_until_the_linger_time_is_over() -> None:
    """The linger time starts with the first line of a message; `flush` sends what waits."""
    producer, clock = FakeProducer(), Clock()
    async with delivery_to(producer, clock, packed_bytes=1000) as delivery:
        assert delivery.linger_until is None
        await delivery.take(Batch.of(["a"]))
        clock.now += 0.02
        await delivery.take(Batch.of(["b"]))
        assert delivery.linger_until == 100.0 + LINGER_SECONDS
        assert producer.sent == []
        await delivery.flush()
        assert producer.texts == [b"a\nb"]
        assert delivery.linger_until is None


async def test_a_position_moves_once_everything_before_it_is_acknowledged() -> None:
    """Messages may be acknowledged out of order; a batch without lines carries a position too."""
    producer = FakeProducer()
    async with delivery_to(producer) as delivery:
        for number in range(3):
            await delivery.take(Batch.of([b"%d" % number], position=number))
        await delivery.take(Batch(b"", 0, position="end"))
        await producer.acknowledge(1)
        assert delivery.position is None
        assert not delivery.moved.is_set()
        await producer.acknowledge(0)
        assert delivery.position == 1
        assert delivery.moved.is_set()
        await producer.acknowledge(2)
        assert delivery.position == "end"


async def test_take_waits_while_too_many_bytes_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """An acknowledgement ends the wait."""
    monkeypatch.setattr(idempotent, "WAITING_BYTES", 10)
    producer = FakeProducer()
    async with delivery_to(producer) as delivery:
        await delivery.take(Batch.of(["x" * 20]))
        async with waiting(asyncio.create_task(delivery.take(Batch.of(["y"])))):
            await producer.acknowledge(0)
        assert producer.texts == [b"x" * 20, b"y"]


async def test_a_refusal_is_raised_with_the_number_of_lines() -> None:
    """It ends `drain` and every later call; the position stays before the refused message."""
    producer = FakeProducer()
    async with delivery_to(producer) as delivery:
        for number in range(3):
            await delivery.take(Batch.of([b"%d" % number], position=number))
        await producer.acknowledge(0)
        await producer.fail(1, MessageSizeTooLargeError())
        await producer.acknowledge(2)
        for call in (delivery.drain, lambda: delivery.take(Batch.of(["more"]))):
            with pytest.raises(DeliveryError, match=r"for topic lines: .*not acknowledged"):
                await call()
        assert delivery.position == 0
        assert delivery.totals.waiting == 2
    assert producer.abandoned is True


async def test_a_message_that_was_not_accepted_is_sent_again() -> None:
    """A time-out of the producer's own queue costs no line and doubles none."""
    producer = FakeProducer()
    producer.refusals = 3
    async with delivery_to(producer) as delivery:
        await delivery.take(Batch.of(["a"]))
        await delivery.take(Batch.of(["b"]))
    assert producer.texts == [b"a", b"b"]


async def test_stall_time_counts_from_the_oldest_wait_or_the_last_acknowledgement() -> None:
    """It is 0 while nothing waits."""
    producer, clock = FakeProducer(), Clock()
    async with delivery_to(producer, clock) as delivery:
        assert delivery.stalled_seconds == 0
        await delivery.take(Batch.of(["a"]))
        await delivery.take(Batch.of(["b"]))
        clock.now += 7
        assert delivery.stalled_seconds == 7
        await producer.acknowledge(0)
        clock.now += 2
        assert delivery.stalled_seconds == 2
        await producer.acknowledge(1)
        assert delivery.stalled_seconds == 0


async def test_a_key_keeps_its_partition_and_other_messages_take_turns() -> None:
    """A partition without a leader has no turn, but a key stays with it."""
    producer, clock = FakeProducer(), Clock()
    producer.leaderless = {1}
    async with delivery_to(producer, clock) as delivery:
        for key in (None, 4, None, 4):
            await delivery.take(Batch(b"x", 1, partition_key=key))
            clock.now += 1
    assert [partition for partition, _ in producer.sent] == [0, 1, 2, 1]


async def test_messages_in_quick_succession_share_a_partition() -> None:
    """A stretch of bytes goes to one partition, so that produce batches fill up."""
    producer = FakeProducer()
    async with delivery_to(producer) as delivery:
        for _ in range(6):
            await delivery.take(Batch(b"x" * 100_000, 1))
    assert [partition for partition, _ in producer.sent] == [0, 0, 1, 1, 2, 2]
