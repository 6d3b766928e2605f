"""The delivering end: batches of lines in, Kafka's acknowledgements out."""

from __future__ import annotations

import asyncio
import functools
import math
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError, UnknownTopicOrPartitionError

from app.errors import UnavailableError
from app.kafka.creation import no_broker
from app.sources.delivery.packing import PACKED, Message, Packer
from app.sources.delivery.topic import TopicLimits
from app.sources.event_time import TimestampClamp
from app.sources.line_splitter import LONGEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from app.sources.base import Batch

__all__ = ["LINGER_SECONDS", "START_SECONDS", "Delivery", "DeliveryError", "Totals"]

LINGER_SECONDS = 0.03
"""How long a line waits for others to share its message."""

_BATCH_LINGER_MS = 20
"""How long a message waits for others to share its produce batch."""

_STRETCH_BYTES = 256 << 10
"""Bytes that go to one partition before it is the next one's turn."""

_WAITING_BYTES = 32 << 20
"""Bytes that may wait for Kafka's acknowledgement; then no more are taken in."""

_OVERHEAD_BYTES = 256
START_SECONDS = 20.0
_REQUEST_TIMEOUT_MS = 20_000


class DeliveryError(UnavailableError):
    """Kafka refuses lines for good."""


class Totals(NamedTuple):
    """What has happened so far."""

    taken: int
    """Lines taken in."""
    acknowledged: int
    """Lines that Kafka has acknowledged."""
    messages: int
    """Messages that Kafka has acknowledged."""
    bytes: int
    """Bytes of text in them."""
    refused: int
    """Words left out because they alone are longer than a message may be."""
    restamped: int
    """Lines that got the time of now, since the topic refuses theirs."""

    @property
    def waiting(self) -> int:
        """Lines taken in that Kafka has not acknowledged."""
        return self.taken - self.acknowledged


class _Sent(NamedTuple):
    message: Message
    future: asyncio.Future[object]
    since: float


class Delivery:
    """Packs batches into messages and brings them to a topic: in order, once, acknowledged by all.

    An idempotent producer, which tries again for as long as it takes: an outage costs time, not
    lines. Use it as an async context manager; leaving it does not wait, `drain` does.
    """

    def __init__(
        self,
        brokers: Sequence[str],
        topic: str,
        *,
        packed_bytes: int = PACKED,
        lingers: bool = True,
    ) -> None:
        self._brokers = brokers
        self.topic = topic
        self.limits = TopicLimits()
        """What the topic takes; to be set before it is entered."""
        self.name = ""
        """What is delivered, the same in every run; to be set before it is entered."""
        self.connected = False
        """Whether it was entered: whether lines may have been taken."""
        self._packed_bytes = packed_bytes
        self._batch_linger_ms = _BATCH_LINGER_MS if lingers else 0
        self._heed_limits()
        self._sent: deque[_Sent] = deque()
        self._waiting_bytes = 0
        self._room = asyncio.Event()
        self._failure: BaseException | None = None
        self._taken = self._acknowledged = self._messages = self._bytes = 0
        self._partition = -1
        self._stretch = 0
        self._stretch_since = -math.inf
        self._linger_until: float | None = None
        self._last_acknowledged = -math.inf
        self.resumed: dict[str, Any] = {}
        """Where sources have got to, by key; there when the delivery is entered, if it keeps it."""
        self.position: object = None
        """The newest resume position up to which Kafka has acknowledged everything."""
        self.moved = asyncio.Event()
        """Set whenever `position` is a newer one."""

    async def __aenter__(self) -> Self:
        self._heed_limits()
        self._producer = AIOKafkaProducer(
            bootstrap_servers=list(self._brokers),
            acks="all",
            enable_idempotence=True,
            compression_type="zstd",
            linger_ms=self._batch_linger_ms,
            max_batch_size=self._packer.limit,
            max_request_size=2 * LONGEST,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )
        # A batch for a partition without a leader would fail once this is over, idempotent or not.
        self._producer._message_accumulator._batch_ttl = math.inf  # noqa: SLF001
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._producer.start()
                await self._producer.partitions_for(self.topic)
        except BaseException as error:
            await self.__aexit__()
            if isinstance(error, KafkaError | OSError):
                raise no_broker(self._brokers, error) from None
            raise
        self.connected = True
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._sent:
            # stop() would wait for the messages. What is cut off here, asyncio.run cancels.
            self._producer._closed = True  # noqa: SLF001 - its destructor would complain
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._producer.client.close()
        else:
            await self._producer.stop()

    def _heed_limits(self) -> None:
        limit = min(self.limits.batch_bytes - _OVERHEAD_BYTES, LONGEST)
        self._packer = Packer(size=self._packed_bytes, limit=limit)
        self._clamp = TimestampClamp(self.topic, self.limits.times)

    @property
    def totals(self) -> Totals:
        """What has happened so far."""
        return Totals(
            self._taken,
            self._acknowledged,
            self._messages,
            self._bytes,
            self._packer.refused,
            self._clamp.restamped,
        )

    @property
    def linger_until(self) -> float | None:
        """When `flush` is due, by time.monotonic(); None: nothing waits for it."""
        return self._linger_until if self._packer.waiting else None

    @property
    def stalled(self) -> float:
        """Seconds for which messages have waited without any being acknowledged."""
        if not self._sent:
            return 0.0
        return time.monotonic() - max(self._sent[0].since, self._last_acknowledged)

    async def take(self, batch: Batch) -> None:
        """Take lines in; waits while too much waits for Kafka. Raises DeliveryError."""
        self._taken += batch.lines
        waited = self._packer.waiting
        sent = await self._send(self._packer.add(self._clamp(batch), time.time_ns() // 1_000_000))
        if sent or not waited:
            self._linger_until = time.monotonic() + LINGER_SECONDS

    async def flush(self) -> None:
        """Send the lines that wait for others to share their message. Raises DeliveryError."""
        self._linger_until = None
        await self._send(self._packer.flush())

    async def drain(self) -> None:
        """Send what is left and wait until Kafka has acknowledged all of it."""
        await self.flush()
        while self._sent:
            await self._acknowledgement()

    async def _send(self, messages: Iterable[Message]) -> int:
        number = 0
        for message in messages:
            if message.empty:
                self._sent.append(_Sent(message, self._nothing(), time.monotonic()))
                self._settle()
                continue
            while self._waiting_bytes > _WAITING_BYTES:
                await self._acknowledgement()
            self._check()
            partition = self._partition_of(message)
            future = await self._hand_over(message, partition)
            self._sent.append(_Sent(message, future, time.monotonic()))
            self._waiting_bytes += len(message.value)
            future.add_done_callback(functools.partial(self._done, message))
            number += 1
        return number

    async def _hand_over(self, message: Message, partition: int) -> asyncio.Future[object]:
        while True:
            with suppress(KafkaTimeoutError, UnknownTopicOrPartitionError):  # it was not taken
                future: asyncio.Future[object] = await self._producer.send(
                    self.topic,
                    message.value,
                    partition=partition,
                    timestamp_ms=message.timestamp_ms,
                    headers=list(message.headers),
                )
                return future
            self._check()

    def _partition_of(self, message: Message) -> int:
        if message.partition_key is None:
            return self._next_partition(len(message.value))
        partitions = self._all_partitions()
        return partitions[message.partition_key % len(partitions)]

    def _next_partition(self, size: int) -> int:
        """Round robin in stretches, so that batches fill up; partitions without a leader wait."""
        now = time.monotonic()
        if self._stretch + size > _STRETCH_BYTES or now > self._stretch_since + LINGER_SECONDS:
            partitions = self._known_partitions()
            later = [partition for partition in partitions if partition > self._partition]
            self._partition = later[0] if later else partitions[0]
            self._stretch = 0
            self._stretch_since = now
        self._stretch += size
        return self._partition

    def _known_partitions(self) -> list[int]:
        cluster = self._producer.client.cluster
        return sorted(
            cluster.available_partitions_for_topic(self.topic)
            or cluster.partitions_for_topic(self.topic)
            or {max(self._partition, 0)}
        )

    def _all_partitions(self) -> list[int]:
        partitions = self._producer.client.cluster.partitions_for_topic(self.topic)
        return sorted(partitions or self._known_partitions())

    def _done(self, message: Message, future: asyncio.Future[object]) -> None:
        self._waiting_bytes -= len(message.value)
        error = asyncio.CancelledError() if future.cancelled() else future.exception()
        if error is not None:
            self._failure = self._failure or error
        else:
            self._acknowledged += message.lines
            self._messages += 1
            self._bytes += len(message.value)
            self._last_acknowledged = time.monotonic()
        self._settle()
        self._room.set()

    def _settle(self) -> None:
        while self._sent and self._failure is None and self._sent[0].future.done():
            position = self._sent.popleft().message.position
            if position is not None:
                self.position = position
                self.moved.set()

    @staticmethod
    def _nothing() -> asyncio.Future[object]:
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    async def _acknowledgement(self) -> None:
        """Wait for the next one. Raises DeliveryError."""
        self._check()
        self._room.clear()
        await self._room.wait()
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            reason = str(self._failure) or type(self._failure).__name__
            raise DeliveryError(
                f"Kafka refuses lines for topic {self.topic}: {reason}; "
                f"{self.totals.waiting} lines were not acknowledged"
            ) from None
