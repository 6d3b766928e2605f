"""Delivery through an idempotent producer: in order, once per run, acknowledged by all replicas."""

from __future__ import annotations

import asyncio
import functools
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from aiokafka.errors import KafkaTimeoutError, UnknownTopicOrPartitionError

from app.sources.delivery.accounting import Accounting
from app.sources.delivery.contract import LINGER_SECONDS, refused
from app.sources.delivery.partitions import PartitionChooser, Partitions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from app.sources.base import Batch
    from app.sources.delivery.contract import Totals
    from app.sources.delivery.intake import Intake
    from app.sources.delivery.packing import Message

__all__ = ["IdempotentDelivery", "Producer"]

WAITING_BYTES = 32 << 20
"""Bytes that may wait for Kafka's acknowledgement; beyond them `take` waits."""


class Producer(Partitions, Protocol):
    """The port to Kafka: sends messages to one topic and retries for as long as an outage lasts."""

    async def start(self) -> None:
        """Connect. Raises UnavailableError."""

    async def send(self, message: Message, partition: int) -> asyncio.Future[object]:
        """Accept a message; the future is done once Kafka has acknowledged or refused it.

        Raises KafkaTimeoutError or UnknownTopicOrPartitionError if the message was not accepted.
        """

    async def stop(self, *, abandon: bool) -> None:
        """Disconnect; `abandon`: do not wait for messages that are not acknowledged."""


class _Sent(NamedTuple):
    message: Message
    future: asyncio.Future[object]
    since: float


class IdempotentDelivery:
    """Packs batches into messages and sends them; an outage of Kafka costs time, not lines."""

    def __init__(
        self,
        producer: Producer,
        intake: Intake,
        topic: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._producer = producer
        self._intake = intake
        self._topic = topic
        self._clock = clock
        self._accounting = Accounting(clock)
        self._chooser = PartitionChooser(producer, clock)
        # In the order in which they were sent: the oldest one that Kafka has not acknowledged
        # holds back the position of all that follow.
        self._sent: deque[_Sent] = deque()
        self._waiting_bytes = 0
        self._acknowledged = asyncio.Event()
        self._failure: BaseException | None = None
        self._linger_until: float | None = None

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop(abandon=bool(self._sent))

    @property
    def totals(self) -> Totals:
        """Totals so far."""
        return self._accounting.totals(self._intake)

    @property
    def position(self) -> object:
        """The newest resume position up to which Kafka has acknowledged everything."""
        return self._accounting.position

    @property
    def moved(self) -> asyncio.Event:
        """Set whenever `position` becomes a newer one."""
        return self._accounting.moved

    @property
    def resumed(self) -> Mapping[str, Any]:
        """Nothing: an idempotent producer commits no positions."""
        return {}

    @property
    def linger_until(self) -> float | None:
        """When `flush` is due, by time.monotonic(); None: nothing waits for it."""
        return self._linger_until if self._intake.waiting else None

    @property
    def stalled_seconds(self) -> float:
        """Seconds for which messages have waited without any acknowledgement."""
        return self._accounting.stalled_seconds(self._sent[0].since if self._sent else None)

    async def take(self, batch: Batch) -> None:
        """Take lines in; waits while too many bytes wait for Kafka. Raises DeliveryError."""
        self._accounting.taken += batch.lines
        waited = self._intake.waiting
        sent = await self._send(self._intake.add(batch))
        # The oldest line that waits decides. It is one of these if none waited before, or if a
        # message has taken those that did.
        if sent or not waited:
            self._linger_until = self._clock() + LINGER_SECONDS

    async def flush(self) -> None:
        """Send the lines that wait for others to share their message. Raises DeliveryError."""
        self._linger_until = None
        await self._send(self._intake.flush())

    async def drain(self) -> None:
        """Send all lines and wait until Kafka has acknowledged them. Raises DeliveryError."""
        await self.flush()
        while self._sent:
            await self._acknowledgement()

    async def _send(self, messages: Iterable[Message]) -> int:
        number = 0
        for message in messages:
            # Nothing to send. But the position must not overtake the messages before it, so it
            # queues behind them as an acknowledged one.
            if message.empty:
                self._sent.append(_Sent(message, _done_future(), self._clock()))
                self._settle()
                continue
            while self._waiting_bytes > WAITING_BYTES:
                await self._acknowledgement()
            self._check()
            future = await self._hand_over(message, self._chooser.choose(message))
            self._sent.append(_Sent(message, future, self._clock()))
            self._waiting_bytes += len(message.value)
            future.add_done_callback(functools.partial(self._done, message))
            number += 1
        return number

    async def _hand_over(self, message: Message, partition: int) -> asyncio.Future[object]:
        while True:
            # Both errors mean that the producer did not accept the message: retrying is safe.
            with suppress(KafkaTimeoutError, UnknownTopicOrPartitionError):
                return await self._producer.send(message, partition)
            self._check()

    def _done(self, message: Message, future: asyncio.Future[object]) -> None:
        self._waiting_bytes -= len(message.value)
        error = asyncio.CancelledError() if future.cancelled() else future.exception()
        if error is not None:
            self._failure = self._failure or error
        else:
            self._accounting.acknowledge(lines=message.lines, messages=1, size=len(message.value))
        self._settle()
        self._acknowledged.set()

    def _settle(self) -> None:
        """Move the position past all messages that are acknowledged without a gap."""
        while self._sent and self._failure is None and self._sent[0].future.done():
            self._accounting.move(self._sent.popleft().message.position)

    async def _acknowledgement(self) -> None:
        """Wait for the next one. Raises DeliveryError."""
        self._check()
        self._acknowledged.clear()
        await self._acknowledged.wait()
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise refused(self._topic, self._failure, self.totals.waiting) from None


def _done_future() -> asyncio.Future[object]:
    future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future
