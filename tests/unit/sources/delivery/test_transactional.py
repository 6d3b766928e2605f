"""A transactional delivery commits lines with their positions, resumes, and ends when fenced."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest
from aiokafka.errors import KafkaError

from app.errors import ConfigurationError
from app.kafka.producer import FencedError
from app.sources.base import Batch, Position
from app.sources.delivery import schedule, transactional
from app.sources.delivery.contract import DeliveryError, Totals
from app.sources.delivery.intake import Intake
from app.sources.delivery.packing import Message
from app.sources.delivery.topic import TopicLimits
from app.sources.delivery.transactional import Opened, TransactionalDelivery
from tests.clock import Clock, waiting


class Commit(NamedTuple):
    """One transaction."""

    messages: Mapping[int, Sequence[Message]]
    positions: Mapping[str, Any]
    number: int

    @property
    def texts(self) -> list[bytes]:
        """Texts by partition."""
        return [message.value for some in self.messages.values() for message in some]


class FakeTransactions:
    """A fake at the port: keeps commits, and lets them wait until a test opens the gate."""

    def __init__(self, opened: Opened | None = None) -> None:
        self._opened = opened or Opened([0, 1], {}, 0)
        self.commits: list[Commit] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None
        self.closed = False

    async def open(self) -> Opened:
        """Fence nobody."""
        return self._opened

    async def commit(
        self,
        messages: Mapping[int, Sequence[Message]],
        positions: Mapping[str, Any],
        number: int,
    ) -> None:
        """Keep a transaction once the gate is open, or raise the failure."""
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.commits.append(Commit(messages, positions, number))

    async def close(self) -> None:
        """Note it."""
        self.closed = True


def delivery_to(
    transactions: FakeTransactions, clock: Clock | None = None, packed_bytes: int = 0
) -> TransactionalDelivery:
    intake = Intake("lines", TopicLimits(), packed_bytes=packed_bytes)
    return TransactionalDelivery(transactions, intake, "lines", name="file", clock=clock or Clock())


def at(offset: int, text: str = "line", key: str = "file") -> Batch:
    return Batch.of([text], position=Position(key, {"offset": offset}))


async def settle() -> None:
    """Let the task that commits run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_lines_and_their_position_are_committed_together() -> None:
    """In order, with the newest position of each key; `drain` waits for the commit."""
    transactions = FakeTransactions()
    async with delivery_to(transactions) as delivery:
        await delivery.take(at(1, "a"))
        await delivery.take(at(2, "b"))
        await delivery.take(at(7, "c", key="other"))
        assert transactions.commits == []
        assert delivery.totals.acknowledged == 0
        await delivery.drain()
        assert delivery.totals == Totals(3, 3, 3, 3, 0, 0)
        assert delivery.position == Position("other", {"offset": 7})
        assert delivery.moved.is_set()
    (commit,) = transactions.commits
    assert commit.texts == [b"a", b"b", b"c"]
    assert commit.positions == {"file": {"offset": 2}, "other": {"offset": 7}}
    assert transactions.closed


async def test_a_run_resumes_where_the_last_one_ended() -> None:
    """It gets the committed positions, and its transactions continue their numbers."""
    transactions = FakeTransactions(Opened([0], {"file": {"offset": 5}}, 41))
    async with delivery_to(transactions) as delivery:
        assert delivery.resumed == {"file": {"offset": 5}}
        for offset in (6, 7):
            await delivery.take(at(offset))
            await delivery.drain()
    assert [commit.number for commit in transactions.commits] == [42, 43]


async def test_lines_without_a_position_wait_for_one() -> None:
    """They are committed with the next position, and dropped at the end if there is none."""
    transactions = FakeTransactions()
    async with delivery_to(transactions) as delivery:
        await delivery.take(Batch.of(["a"]))
        await delivery.flush()
        await settle()
        assert transactions.commits == []
        assert delivery.totals.taken == 0
        await delivery.take(at(1, "b"))
        await delivery.take(Batch.of(["c"]))
        await delivery.drain()
    assert [commit.texts for commit in transactions.commits] == [[b"a", b"b"]]
    assert delivery.totals.waiting == 0


async def test_a_position_without_a_value_deletes_its_key() -> None:
    """It is committed, but the source gets no such position."""
    transactions = FakeTransactions()
    async with delivery_to(transactions) as delivery:
        await delivery.take(at(1))
        await delivery.take(Batch(b"", 0, position=Position("gone", None)))
        await delivery.drain()
        assert delivery.position == Position("file", {"offset": 1})
    assert transactions.commits[0].positions == {"file": {"offset": 1}, "gone": None}


async def test_enough_bytes_make_a_transaction_due_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fewer bytes wait until the linger time is over or a tenth of a second has passed."""
    monkeypatch.setattr(schedule, "DUE_BYTES", 10)
    transactions, clock = FakeTransactions(), Clock()
    async with delivery_to(transactions, clock) as delivery:
        await delivery.take(at(1, "x"))
        await settle()
        assert transactions.commits == []
        assert delivery.linger_until == pytest.approx(100.03)
        await delivery.take(at(2, "x" * 20))
        await settle()
        assert len(transactions.commits) == 1
        await delivery.take(at(3, "x"))
        clock.now += 0.2
        await delivery.take(at(4, "x"))
        await settle()
        assert len(transactions.commits) == 2


async def test_take_waits_while_too_many_bytes_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next transaction takes them and ends the wait."""
    monkeypatch.setattr(transactional, "WAITING_BYTES", 10)
    transactions = FakeTransactions()
    transactions.gate.clear()
    async with delivery_to(transactions) as delivery:
        await delivery.take(at(1, "a"))
        await delivery.flush()
        await settle()  # one transaction is under way
        await delivery.take(at(2, "x" * 20))
        await delivery.flush()
        async with waiting(asyncio.create_task(delivery.take(at(3, "b")))):
            transactions.gate.set()
        await delivery.drain()
    assert [text for commit in transactions.commits for text in commit.texts] == [
        b"a",
        b"x" * 20,
        b"b",
    ]


async def test_a_second_producer_takes_over() -> None:
    """The first one raises the reason at once and acknowledges nothing more."""
    transactions = FakeTransactions()
    transactions.failure = FencedError("file")
    async with delivery_to(transactions) as delivery:
        await delivery.take(at(1))
        with pytest.raises(DeliveryError, match="another producer has taken over file"):
            await delivery.drain()
        with pytest.raises(DeliveryError, match="another producer has taken over file"):
            await delivery.take(at(2))
        assert delivery.position is None
        assert delivery.totals.acknowledged == 0


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (KafkaError("no rights"), "Kafka refuses lines for topic lines: .*no rights; 1 lines were"),
        (ConfigurationError("raise the limit"), "^raise the limit$"),
        (ZeroDivisionError("a defect"), "^a defect$"),
    ],
)
async def test_a_failed_transaction_is_raised(failure: Exception, message: str) -> None:
    """Whether Kafka refuses lines, or names the remedy itself, or the code has a defect."""
    transactions = FakeTransactions()
    transactions.failure = failure
    async with delivery_to(transactions) as delivery:
        await delivery.take(at(1))
        with pytest.raises((DeliveryError, type(failure)), match=message):
            await delivery.drain()


async def test_a_failure_is_found_while_the_source_is_silent() -> None:
    """As long as a transaction is pending, `flush` is due from time to time and raises it."""
    transactions, clock = FakeTransactions(), Clock()
    transactions.gate.clear()
    async with delivery_to(transactions, clock) as delivery:
        await delivery.take(at(1))
        await delivery.flush()
        assert delivery.linger_until == pytest.approx(100.5)
        transactions.failure = KafkaError("refused")
        transactions.gate.set()
        await settle()
        with pytest.raises(DeliveryError, match="refused"):
            await delivery.flush()


async def test_stall_time_counts_from_the_oldest_wait() -> None:
    """It is 0 once everything is committed."""
    transactions, clock = FakeTransactions(), Clock()
    transactions.gate.clear()
    async with delivery_to(transactions, clock) as delivery:
        assert delivery.stalled_seconds == 0
        await delivery.take(at(1))
        await delivery.flush()
        await settle()
        clock.now += 6
        await delivery.take(at(2))
        assert delivery.stalled_seconds == 6
        transactions.gate.set()
        await settle()
        clock.now += 1
        assert delivery.stalled_seconds == 0
        assert delivery.totals.waiting == 0


async def test_a_key_keeps_its_partition() -> None:
    """Messages without a key take turns."""
    transactions, clock = FakeTransactions(Opened([0, 1, 2], {}, 0)), Clock()
    async with delivery_to(transactions, clock) as delivery:
        for number in range(3):
            position = Position("file", {"offset": number})
            await delivery.take(Batch(b"%d" % number, 1, position=position, partition_key=4))
            await delivery.drain()
    assert [list(commit.messages) for commit in transactions.commits] == [[1], [1], [1]]
