"""Delivery exactly once: lines and the position behind them in one transaction."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from app.errors import WordCountError
from app.kafka.creation import no_broker
from app.kafka.offsets import CommittedOffsets
from app.kafka.producer import FencedError, PartitionRecords, Record, TransactionalProducer
from app.sources.base import Position
from app.sources.delivery.positions import Positions
from app.sources.delivery.producer import LINGER_SECONDS, START_SECONDS, Delivery, DeliveryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from app.sources.base import Batch
    from app.sources.delivery.packing import Message

__all__ = ["TransactionalDelivery"]

_BLOCK_BYTES = 4 << 20
"""Bytes that make a transaction due at once."""

_FULL_BYTES = 16 << 20
"""Bytes that may wait for the next transaction; then no more are taken in."""

_BLOCK_SECONDS = 0.1
_POSITIONS_SECONDS = 90.0
_SECONDS_BETWEEN_LOOKS = 0.5


class _Block(NamedTuple):
    """What one transaction takes to Kafka."""

    messages: list[Message]
    positions: dict[str, Any]
    newest: Position | None
    taken: int
    """Lines taken in by then."""


class TransactionalDelivery(Delivery):
    """Commits lines in transactions, each with the source's positions behind its lines.

    So Kafka holds either both or none, and whoever goes on from `resumed` sends no line twice and
    leaves none out. Lines whose batch has no position wait for one that has. A second producer of
    the same name takes over; the first then stops, with DeliveryError.
    """

    def __init__(
        self,
        brokers: Sequence[str],
        topic: str,
        *,
        group: str,
        positions: str,
        packed_bytes: int,
    ) -> None:
        super().__init__(brokers, topic, packed_bytes=packed_bytes)
        self._group = group
        self._positions = Positions(brokers, positions, topic)
        self._partitions: list[int] = []
        self._uncovered: list[Batch] = []
        self._messages_waiting: list[Message] = []
        self._positions_waiting: dict[str, Any] = {}
        self._newest: Position | None = None
        self._block_bytes = 0
        self._block_since: float | None = None
        self._due = asyncio.Event()
        self._flushed = False
        self._committing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._heed_limits()
        read = f"{self.topic} {self.name}".encode()
        unique = f"{self._group}-{hashlib.sha256(read).hexdigest()[:16]}"
        self._offsets = CommittedOffsets(unique, self._brokers)
        self._writer = TransactionalProducer(
            unique,
            TopicPartition(self.topic, 0),
            unique,
            self._brokers,
            self._offsets,
            batch_bytes=self._packer.limit,
            compression="zstd",
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._writer.open()
                self._partitions = await self._positions.partitions()
            # What a killed producer of another source had begun, Kafka ends after a minute.
            async with asyncio.timeout(_POSITIONS_SECONDS):
                self.resumed = await self._positions.read()
        except BaseException as error:
            await self._writer.close()
            await self._offsets.close()
            if isinstance(error, KafkaError | OSError):
                raise no_broker(self._brokers, error) from None
            raise
        self.connected = True
        self._committing = asyncio.create_task(self._commit_blocks())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._committing is not None:
            self._committing.cancel()
            await asyncio.wait({self._committing})
        await self._writer.close()
        await self._offsets.close()

    @property
    def linger_until(self) -> float | None:
        """When `flush` is due, by time.monotonic(); None: nothing waits for it."""
        if not self._flushed:
            return self._linger_until
        # A source that is silent must not keep us from hearing that a transaction has failed.
        pending = self._block_since is not None
        return time.monotonic() + _SECONDS_BETWEEN_LOOKS if pending else None

    @property
    def stalled(self) -> float:
        """Seconds for which lines have waited without any being acknowledged."""
        if self._block_since is None:
            return 0.0
        return time.monotonic() - max(self._block_since, self._last_acknowledged)

    async def take(self, batch: Batch) -> None:
        """Take lines in; waits while too much waits for Kafka. Raises DeliveryError."""
        self._uncovered.append(batch)
        if not isinstance(batch.position, Position):
            return
        while self._block_bytes > _FULL_BYTES:
            await self._acknowledgement()
        self._check()
        for covered in self._uncovered:
            self._taken += covered.lines
            self._add(self._packer.add(self._clamp(covered), time.time_ns() // 1_000_000))
        self._uncovered = []
        if batch.position.value is not None:
            self._newest = batch.position
        self._positions_waiting[batch.position.key] = batch.position.value
        now = time.monotonic()
        self._block_since = self._block_since or now
        self._linger_until = now + LINGER_SECONDS
        self._flushed = False
        if self._block_bytes > _BLOCK_BYTES or now > self._block_since + _BLOCK_SECONDS:
            self._due.set()

    async def flush(self) -> None:
        """Let the lines that wait go. Raises DeliveryError."""
        self._check()
        self._flushed = True
        self._due.set()

    async def drain(self) -> None:
        """Send what is left and wait until Kafka has acknowledged all of it.

        Lines without a position behind them are let go: the next run reads them again.
        """
        self._uncovered = []
        while self._block_since is not None:
            await self.flush()
            await self._acknowledgement()

    def _add(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if not message.empty:
                self._messages_waiting.append(message)
                self._block_bytes += len(message.value)

    async def _commit_blocks(self) -> None:
        number = max(self._writer.position.offset, 0)
        try:
            while True:
                await self._due.wait()
                self._due.clear()
                if not self._positions_waiting:
                    continue
                number += 1
                block = self._block()
                await self._writer.commit(self._outgoing(block), number)
                self._committed(block)
        except FencedError:
            self._failure = DeliveryError(
                f"another producer has taken over {self.name} for topic {self.topic}; "
                "this one ends: what it had not delivered, that one reads"
            )
        except (KafkaError, OSError, WordCountError) as error:
            self._failure = error
        finally:
            self._room.set()

    def _block(self) -> _Block:
        self._add(self._packer.flush())
        block = _Block(self._messages_waiting, self._positions_waiting, self._newest, self._taken)
        self._messages_waiting, self._positions_waiting = [], {}
        self._block_bytes = 0
        self._room.set()
        return block

    def _outgoing(self, block: _Block) -> list[PartitionRecords]:
        by_partition: dict[int, list[Record]] = defaultdict(list)
        for message in block.messages:
            partition = self._partition_of(message)
            by_partition[partition].append(
                Record(None, message.value, message.timestamp_ms, message.headers)
            )
        lines = [
            PartitionRecords(TopicPartition(self.topic, partition), records)
            for partition, records in by_partition.items()
        ]
        return [*lines, self._positions.outgoing(block.positions)]

    def _committed(self, block: _Block) -> None:
        self._acknowledged = block.taken
        self._messages += len(block.messages)
        self._bytes += sum(len(message.value) for message in block.messages)
        self.position = block.newest
        self._last_acknowledged = time.monotonic()
        if not self._positions_waiting:
            self._block_since = None
        self._room.set()

    def _check(self) -> None:
        if isinstance(self._failure, WordCountError):
            raise self._failure
        super()._check()

    def _known_partitions(self) -> list[int]:
        return self._partitions

    def _all_partitions(self) -> list[int]:
        return self._partitions
