"""One fenced transactional producer for one partition of one stage.

The promise: whatever `commit` is given gets into Kafka together with the offset it came from, once,
or not at all. Opening a writer fences every earlier one of the same name (a zombie's) and ends its
transaction, so the committed offset that is read after opening is final.
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
from app.faultpoints import reached

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
"""Wait between two tries; longer than a heartbeat, so that a lost membership is noticed first."""

_PASSING = (KafkaError, OSError, TimeoutError, AssertionError)
"""An assertion is how aiokafka says that its sender has died, or that it knows no broker."""

_REFUSALS = (
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError, RecordTooLargeError)
"""To try again is no use: what was refused would be refused for ever."""


class FencedError(Exception):
    """Another writer of the same name has been opened: this one owns its partition no more."""


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

    `position` is the committed offset and metadata, known once the writer is open.
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
        """Fence earlier writers and read where they got to; waits for a broker that is away.

        Raises UnavailableError if the broker refuses this writer's rights.
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
                await producer.start()
                self.position = await self.offsets.read(self.source)
            except _REFUSALS as error:
                await _stop(producer)
                raise self._refused(error) from None
            except _PASSING as error:
                await _stop(producer)
                logger.warning("%s can't be opened, trying again: %r", self.name, error)
                await asyncio.sleep(RETRY_SECONDS)
            except BaseException:
                await _stop(producer)
                raise
            else:
                self._producer = producer
                return self.position

    async def close(self) -> None:
        """Stop the producer. An open transaction is left for the next writer to end."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)

    async def commit(
        self, outgoing: Sequence[PartitionRecords], offset: int | None, metadata: str = ""
    ) -> dict[TopicPartition, int]:
        """Write all records and the offset in one transaction; return each partition's last offset.

        `offset` of None writes the records alone. Tries until it is known how it ended: after an
        error the writer is opened again, which ends the transaction, and the committed offset then
        tells whether it was committed. Raises FencedError if another writer has taken over,
        ConfigurationError for a record that is larger than its topic allows, or of a time that it
        refuses.
        """
        while True:
            written: dict[TopicPartition, int] = {}
            try:
                await self._try(outgoing, offset, metadata, written)
            except (ProducerFenced, InvalidProducerEpoch) as error:
                raise FencedError(self.name) from error
            except (*_REFUSALS, *_TOO_LARGE, InvalidTimestampError) as error:
                raise self._final(error, outgoing) from None
            except _PASSING as error:
                logger.warning(
                    "transaction of %s failed, looking how it ended: %r", self.name, error
                )
                before = self.position
                await self.close()
                await asyncio.sleep(RETRY_SECONDS)
                found = await self.open()
                if offset is not None and found.offset == offset:
                    return written
                if found.offset != before.offset:
                    # Somebody else committed: this writer was the zombie.
                    raise FencedError(self.name) from error
            else:
                if offset is not None:
                    self.position = OffsetAndMetadata(offset, metadata)
                return written

    def _final(self, error: KafkaError, outgoing: Sequence[PartitionRecords]) -> WordCountError:
        """What to do about an error that would come again."""
        if isinstance(error, _TOO_LARGE):
            return _too_large(outgoing)
        if isinstance(error, InvalidTimestampError):
            return _untimely(outgoing)
        return self._refused(error)

    def _refused(self, error: KafkaError) -> UnavailableError:
        return UnavailableError(
            f"Kafka refuses the transactional producer {self.name}: {error!r}; "
            "grant it write rights"
        )

    async def _try(
        self,
        outgoing: Sequence[PartitionRecords],
        offset: int | None,
        metadata: str,
        written: dict[TopicPartition, int],
    ) -> None:
        producer = self._producer
        if producer is None:
            raise FencedError(self.name)
        await producer.begin_transaction()
        sent: list[tuple[TopicPartition, int, asyncio.Future[Any]]] = []
        for target in outgoing:
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
        # return_exceptions: a transaction is not left while one of its sends is still under way.
        results: list[Any] = await asyncio.gather(*waits, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        for (partition, count, _), first in zip(sent, results, strict=False):
            # A batch's future tells the offset of its first record.
            if first.offset < 0:
                raise KafkaError(f"{partition}: written, but no broker knows where")
            written[partition] = first.offset + count - 1
        reached("writer.sent")
        await producer.commit_transaction()


def _too_large(outgoing: Sequence[PartitionRecords]) -> ConfigurationError:
    """What to do about the largest of the records."""
    size, topic = max(
        (len(record.key or b"") + len(record.value or b""), target.partition.topic)
        for target in outgoing
        for record in target.records
    )
    return ConfigurationError(
        f"topic {topic} refuses a record of {size} bytes, as one huge word makes it; "
        "raise its max.message.bytes and start again: nothing is lost"
    )


def _untimely(outgoing: Sequence[PartitionRecords]) -> ConfigurationError:
    """What to do about their times: Kafka does not say which one it refuses."""
    topics = sorted({target.partition.topic for target in outgoing})
    return ConfigurationError(
        f"Kafka refuses the time of a record for {' or '.join(topics)}; raise the topic's "
        "message.timestamp.before.max.ms and message.timestamp.after.max.ms, or mend the clocks, "
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
