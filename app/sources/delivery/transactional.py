"""Delivery exactly once: lines and the position behind them in one transaction."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from aiokafka.errors import KafkaError

from app.kafka.producer import FencedError
from app.sources.base import Position
from app.sources.delivery.accounting import Accounting
from app.sources.delivery.contract import DeliveryError, refused
from app.sources.delivery.partitions import FixedPartitions, PartitionChooser
from app.sources.delivery.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from app.sources.base import Batch
    from app.sources.delivery.contract import Totals
    from app.sources.delivery.intake import Intake
    from app.sources.delivery.packing import Message

__all__ = ["Opened", "TransactionalDelivery", "Transactions"]

WAITING_BYTES = 16 << 20
"""Bytes that may wait for the next transaction; beyond them `take` waits."""


class Opened(NamedTuple):
    """The state in Kafka that a delivery starts from."""

    partitions: Sequence[int]
    """Partitions of the topic, in ascending order."""
    positions: Mapping[str, Any]
    """Positions of all sources that send to the topic, by key."""
    number: int
    """Number of the last committed transaction; 0: there was none."""


class Transactions(Protocol):
    """The port to Kafka: commits messages and positions together, or neither of them."""

    async def open(self) -> Opened:
        """Fence earlier producers of the same name. Raises UnavailableError."""

    async def commit(
        self,
        messages: Mapping[int, Sequence[Message]],
        positions: Mapping[str, Any],
        number: int,
    ) -> None:
        """Commit messages by partition, positions by key and the number of the transaction.

        Raises FencedError if another producer of the name was opened, KafkaError, OSError or
        WordCountError if Kafka refuses.
        """

    async def close(self) -> None:
        """Disconnect."""


class _Block(NamedTuple):
    """The content of one transaction."""

    messages: list[Message]
    positions: dict[str, Any]
    newest: Position | None
    taken: int
    """Lines taken in when the block was made."""


class TransactionalDelivery:
    """Commits lines in transactions, each with the source's positions behind its lines.

    Kafka holds both or neither, so a run that resumes from `resumed` sends no line twice and skips
    none. Lines whose batch has no position wait for a batch that has one. A second producer of the
    same name takes over; the first one then raises DeliveryError.
    """

    def __init__(
        self,
        transactions: Transactions,
        intake: Intake,
        topic: str,
        *,
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transactions = transactions
        self._intake = intake
        self._topic = topic
        self._name = name
        self._clock = clock
        self._accounting = Accounting(clock)
        self._next = _NextBlock()
        self._schedule = Schedule(clock)
        self._uncovered: list[Batch] = []
        self._changed = asyncio.Event()
        self._failure: Exception | None = None
        self._committing: asyncio.Task[None] | None = None
        self.resumed: Mapping[str, Any] = {}
        """Positions that earlier runs have committed, by key, once the delivery is entered."""

    async def __aenter__(self) -> Self:
        opened = await self._transactions.open()
        self.resumed = opened.positions
        self._committing = asyncio.create_task(self._commit_blocks(opened))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._committing is not None:
            self._committing.cancel()
            await asyncio.wait({self._committing})
        await self._transactions.close()

    @property
    def totals(self) -> Totals:
        """Totals so far."""
        return self._accounting.totals(self._intake)

    @property
    def position(self) -> object:
        """The newest resume position that is committed."""
        return self._accounting.position

    @property
    def moved(self) -> asyncio.Event:
        """Set whenever `position` becomes a newer one."""
        return self._accounting.moved

    @property
    def linger_until(self) -> float | None:
        """When `flush` is due, by time.monotonic(); None: nothing waits for it."""
        return self._schedule.linger_until

    @property
    def stalled_seconds(self) -> float:
        """Seconds for which lines have waited without any acknowledgement."""
        return self._accounting.stalled_seconds(self._schedule.waiting_since)

    async def take(self, batch: Batch) -> None:
        """Take lines in; waits while too many bytes wait for Kafka. Raises DeliveryError."""
        # A transaction may only end where the source can resume: lines wait here for the position
        # behind them.
        self._uncovered.append(batch)
        if not isinstance(batch.position, Position):
            return
        while self._next.size > WAITING_BYTES:
            await self._change()
        self._check()
        for covered in self._uncovered:
            self._accounting.taken += covered.lines
            self._next.add(self._intake.add(covered))
        self._uncovered = []
        self._next.cover(batch.position)
        self._schedule.taken(self._next.size)

    async def flush(self) -> None:
        """Make the next transaction due. Raises DeliveryError."""
        self._check()
        self._schedule.flush()

    async def drain(self) -> None:
        """Send all lines and wait until Kafka has acknowledged them. Raises DeliveryError.

        Lines without a position behind them are dropped: the next run reads them again.
        """
        self._uncovered = []
        while self._schedule.waiting_since is not None:
            await self.flush()
            await self._change()

    async def _commit_blocks(self, opened: Opened) -> None:
        chooser = PartitionChooser(FixedPartitions(opened.partitions), self._clock)
        number = opened.number
        try:
            while True:
                await self._schedule.wait()
                if not self._next.positions:
                    continue
                # One transaction at a time, so that Kafka gets lines and positions in order. Lines
                # that come meanwhile gather for the next one.
                number += 1
                block = self._take_block()
                by_partition: dict[int, list[Message]] = defaultdict(list)
                for message in block.messages:
                    by_partition[chooser.choose(message)].append(message)
                await self._transactions.commit(by_partition, block.positions, number)
                self._committed(block)
        except FencedError:
            self._failure = DeliveryError(
                f"another producer has taken over {self._name} for topic {self._topic}; "
                "this one ends: what it had not delivered, that one reads"
            )
        except Exception as error:
            self._failure = error
        finally:
            self._changed.set()

    def _take_block(self) -> _Block:
        # The positions cover all lines taken in, so the packer holds none of them back.
        self._next.add(self._intake.flush())
        block = self._next.block(self._accounting.taken)
        self._changed.set()
        return block

    def _committed(self, block: _Block) -> None:
        self._accounting.acknowledge(
            lines=block.taken - self._accounting.acknowledged,
            messages=len(block.messages),
            size=sum(len(message.value) for message in block.messages),
        )
        self._accounting.move(block.newest)
        if not self._next.positions:
            self._schedule.rest()
        self._changed.set()

    async def _change(self) -> None:
        """Wait until a transaction begins or ends. Raises DeliveryError."""
        self._check()
        self._changed.clear()
        await self._changed.wait()
        self._check()

    def _check(self) -> None:
        # Kafka's errors lack the topic and the lines that they cost; all others state them already.
        if isinstance(self._failure, KafkaError | OSError):
            raise refused(self._topic, self._failure, self.totals.waiting) from None
        if self._failure is not None:
            raise self._failure


class _NextBlock:
    """The messages and positions that wait for the next transaction."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self.positions: dict[str, Any] = {}
        """Positions by key; empty: there is nothing to commit."""
        self._newest: Position | None = None
        self.size = 0
        """Bytes of the messages."""

    def add(self, messages: Iterable[Message]) -> None:
        """Add messages."""
        for message in messages:
            if not message.empty:
                self._messages.append(message)
                self.size += len(message.value)

    def cover(self, position: Position) -> None:
        """Note the position behind all lines so far; a value of None deletes its key."""
        if position.value is not None:
            self._newest = position
        self.positions[position.key] = position.value

    def block(self, taken: int) -> _Block:
        """Hand everything over and start again with nothing."""
        block = _Block(self._messages, self.positions, self._newest, taken)
        self._messages, self.positions, self.size = [], {}, 0
        return block
