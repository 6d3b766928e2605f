"""One fenced transactional producer for one partition of one stage.

`commit` writes records to Kafka together with the offset that they come from, once or not at all.
Opening a producer fences every earlier producer of the same name (a zombie's) and ends its
transaction. So the committed offset that is read after opening is final.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    InvalidProducerEpoch,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    RecordListTooLargeError,
    RecordTooLargeError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
from aiokafka.structs import OffsetAndMetadata

from app.errors import ConfigurationError, UnavailableError, WordCountError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import TopicPartition

    from app.kafka.offsets import CommittedOffsets

__all__ = ["FencedError", "PartitionRecords", "Record", "TransactionalProducer"]

logger = logging.getLogger(__name__)

BATCH_BYTES = 900_000
"""Largest produce batch, in bytes: under Kafka's default limit of a message, 1 MiB."""

REQUEST_BYTES = 64 << 20
"""Largest single record, in bytes; the topic's own limit decides before."""

RETRY_SECONDS = 1.0
"""Wait between two attempts; longer than a heartbeat, so that a lost membership shows first."""

_PASSING = (KafkaError, OSError, TimeoutError, AssertionError)
"""aiokafka raises AssertionError when its sender has died, or when it can reach no broker."""

_REFUSALS = (
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError, RecordTooLargeError)
"""A retry is no use: the topic would refuse the record for ever."""


class FencedError(Exception):
    """Another producer of the same name has been opened, and now owns the partition."""


class Record(NamedTuple):
    """One record to write. `timestamp` is in ms; None is now. A value of None is a tombstone."""

    key: bytes | None
    value: bytes | None
    timestamp: int | None = None
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass(slots=True)
class PartitionRecords:
    """Records for one partition of one topic, in order."""

    partition: TopicPartition
    records: Sequence[Record]


@dataclass
class TransactionalProducer:
    """The transactional producer `name`, whose transactions carry the offset of `source`.

    `position` is the committed offset and metadata; `open` reads it.
    """

    name: str
    source: TopicPartition
    group: str
    brokers: Sequence[str]
    offsets: CommittedOffsets
    batch_bytes: int = BATCH_BYTES
    compression: str | None = None
    position: OffsetAndMetadata = field(default=OffsetAndMetadata(-1, ""), init=False)
    _producer: AIOKafkaProducer | None = field(default=None, init=False)

    async def open(self) -> OffsetAndMetadata:
        """Fence earlier producers and read the committed offset; retry while no broker answers.

        Raises UnavailableError if the broker refuses this producer's rights.
        """
        while True:
            producer = AIOKafkaProducer(
                bootstrap_servers=list(self.brokers),
                transactional_id=self.name,
                acks="all",
                enable_idempotence=True,
                max_batch_size=self.batch_bytes,
                compression_type=self.compression,
                max_request_size=REQUEST_BYTES,
            )
            try:
                # The order matters: the start fences earlier producers, so the offset that is read
                # after it is final.
                await producer.start()
                self.position = await self.offsets.read(self.source)
            except _REFUSALS as error:
                await _stop(producer)
                raise self._refused(error) from None
            except _PASSING as error:
                await _stop(producer)
                logger.warning("%s can't be opened, retrying: %r", self.name, error)
                await asyncio.sleep(RETRY_SECONDS)
            except BaseException:
                await _stop(producer)
                raise
            else:
                self._producer = producer
                return self.position

    async def close(self) -> None:
        """Stop the producer; the next one of its name ends a transaction that is still open."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)

    async def commit(
        self, records: Sequence[PartitionRecords], offset: int | None, metadata: str = ""
    ) -> dict[TopicPartition, int]:
        """Write all records and the offset in one transaction; return each partition's last offset.

        An `offset` of None writes the records alone. After an error the producer is reopened, which
        ends the transaction. The committed offset then shows whether the transaction has taken
        effect; if not, it is repeated. Raises FencedError if another producer has taken over.
        Raises ConfigurationError if a topic refuses the size or the time of a record.
        """
        while True:
            written: dict[TopicPartition, int] = {}
            try:
                await self._try(records, offset, metadata, written)
            except (ProducerFenced, InvalidProducerEpoch) as error:
                raise FencedError(self.name) from error
            except (*_REFUSALS, *_TOO_LARGE, InvalidTimestampError) as error:
                raise self._final(error, records) from None
            except _PASSING as error:
                logger.warning(
                    "transaction of %s failed, checking how it ended: %r", self.name, error
                )
                before = self.position
                await self.close()
                await asyncio.sleep(RETRY_SECONDS)
                found = await self.open()
                # Reopening has ended the transaction, so the offset shows how. `written` is
                # complete if the transaction took effect: its commit is sent last. Without an
                # offset nothing shows how it ended, and the records are written again, which must
                # do no harm.
                if offset is not None and found.offset == offset:
                    return written
                if found.offset != before.offset:
                    # Another producer has committed: this one was the zombie.
                    raise FencedError(self.name) from error
            else:
                if offset is not None:
                    self.position = OffsetAndMetadata(offset, metadata)
                return written

    def _final(self, error: KafkaError, records: Sequence[PartitionRecords]) -> WordCountError:
        """Return the error for the user where a retry would meet the same refusal."""
        if isinstance(error, _TOO_LARGE):
            return _too_large(records)
        if isinstance(error, InvalidTimestampError):
            return _untimely(records)
        return self._refused(error)

    def _refused(self, error: KafkaError) -> UnavailableError:
        return UnavailableError(
            f"Kafka refuses the transactional producer {self.name}: {error!r}; "
            "grant it write rights"
        )

    async def _try(
        self,
        records: Sequence[PartitionRecords],
        offset: int | None,
        metadata: str,
        written: dict[TopicPartition, int],
    ) -> None:
        producer = self._producer
        if producer is None:
            raise FencedError(self.name)
        await producer.begin_transaction()
        sent: list[tuple[TopicPartition, int, asyncio.Future[Any]]] = []
        for target in records:
            # Sends overlap: one wait below covers all of them and the offset.
            for count, batch in _batches(producer, target.records):
                future = await producer.send_batch(
                    batch, target.partition.topic, partition=target.partition.partition
                )
                sent.append((target.partition, count, future))
        waits = [future for _, _, future in sent]
        if offset is not None:
            waits.append(
                producer.send_offsets_to_transaction(
                    {self.source: OffsetAndMetadata(offset, metadata)}, self.group
                )
            )
        # return_exceptions: wait for every send before the transaction ends in an error.
        results: list[Any] = await asyncio.gather(*waits, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        for (partition, count, _), first in zip(sent, results, strict=False):
            # The result of a batch is the offset of its first record.
            if first.offset < 0:
                raise KafkaError(f"{partition}: written, but the broker returned no offset")
            written[partition] = first.offset + count - 1
        await producer.commit_transaction()


def _too_large(records: Sequence[PartitionRecords]) -> ConfigurationError:
    """Return the error for a record that is larger than its topic allows."""
    size, topic = max(
        (len(record.key or b"") + len(record.value or b""), target.partition.topic)
        for target in records
        for record in target.records
    )
    return ConfigurationError(
        f"topic {topic} refuses a record of {size} bytes, as one huge word makes it; "
        "raise its max.message.bytes and start again: nothing is lost"
    )


def _untimely(records: Sequence[PartitionRecords]) -> ConfigurationError:
    """Return the error for a refused time; Kafka does not name the record."""
    topics = sorted({target.partition.topic for target in records})
    return ConfigurationError(
        f"Kafka refuses the time of a record for {' or '.join(topics)}; raise the topic's "
        "message.timestamp.before.max.ms and message.timestamp.after.max.ms, or fix the clocks, "
        "and start again: nothing is lost"
    )


def _batches(producer: AIOKafkaProducer, records: Sequence[Record]) -> Any:
    """Pack records into as few produce batches as hold them: (records, batch) each."""
    batch, count = producer.create_batch(), 0
    for record in records:
        appended = batch.append(
            key=record.key,
            value=record.value,
            timestamp=record.timestamp,
            headers=list(record.headers),  # aiokafka takes nothing but a list
        )
        # None: the batch is full. A new batch takes its first record whatever its size.
        if appended is None:
            batch.close()
            yield count, batch
            batch, count = producer.create_batch(), 0
            batch.append(
                key=record.key,
                value=record.value,
                timestamp=record.timestamp,
                headers=list(record.headers),  # aiokafka takes nothing but a list
            )
        count += 1
    if count:
        batch.close()
        yield count, batch


async def _stop(producer: AIOKafkaProducer) -> None:
    try:
        await asyncio.wait_for(producer.stop(), 5)
    except (KafkaError, OSError, TimeoutError) as error:
        logger.debug("stopping a producer: %r", error)
