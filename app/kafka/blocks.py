"""Records in blocks: the result of one fetch of one partition, as one object.

aiokafka turns each record into a ConsumerRecord; at word-count rates that costs more than counting.
A consumer whose value_deserializer is `AS_BATCHES` gets whole record batches instead. Control and
aborted batches come as empty ones, so offsets have no gaps, and a gap is always a fault.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException

from app.kafka.records import Records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiokafka import TopicPartition

__all__ = ["AS_BATCHES", "Batch", "Block"]


def AS_BATCHES(value: bytes) -> bytes:  # noqa: N802 - a marker that aiokafka takes as a function
    """Mark a consumer that reads batches; never called."""
    return value


BLOCK_BYTES = 4 << 20
"""Memory of the records in one block, in bytes, unless one batch alone takes more."""


@dataclass(slots=True)
class Batch:
    """The readable records of one record batch; none for a control or aborted batch.

    `first` is the offset that was to be read next, `next` the one after the batch, `size` the
    approximate memory of its records, in bytes.
    """

    first: int
    next: int
    records: Records
    size: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.size = self.records.size

    @property
    def offset(self) -> int:
        """The last offset that this batch covers."""
        return self.next - 1


@dataclass(slots=True)
class Block:
    """The result of one fetch of one partition: records in order, without a gap in offsets.

    `first` is the offset that was to be read next, `next` the one after the block, `generation` the
    consumer group's generation in which it was fetched, `end` where the topic ended then, `size`
    the bytes that it takes in memory.
    """

    topic: str
    partition: int
    first: int
    next: int
    records: Records
    generation: int
    end: int
    size: int

    @classmethod
    def of(
        cls, partition: TopicPartition, batches: list[Batch], generation: int, end: int
    ) -> Block:
        """Join the batches of one fetch."""
        return cls(
            partition.topic,
            partition.partition,
            batches[0].first,
            batches[-1].next,
            Records.join([batch.records for batch in batches]),
            generation,
            end,
            sum(batch.size for batch in batches),
        )

    def taken(self) -> Block:
        """Move the records to a copy of this block, and return the copy.

        Faust holds the last message of a stream, this block, until the next one comes.
        """
        taken = dataclasses.replace(self)
        self.records = Records.of(())
        return taken

    def after(self, offset: int) -> Block:
        """Return the part of this block from `offset` on."""
        return dataclasses.replace(self, first=offset, records=self.records.since(offset))


class _PartitionRecords(fetcher.PartitionRecords):
    """aiokafka's reader of a fetched partition; yields batches to a consumer that reads batches."""

    def _unpack_records(self) -> Iterator[Any]:
        if self._value_deserializer is AS_BATCHES:
            return self._batches()
        records: Iterator[Any] = super()._unpack_records()
        return records

    def _batches(self) -> Iterator[Batch]:
        self.next_fetch_offset: int
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            # A control or aborted batch is passed on without records, so that its offsets belong to
            # a block as all others do.
            readable = not self._is_aborted(batch) and not batch.is_control_batch
            first = self.next_fetch_offset
            if batch.next_offset > first:
                self.next_fetch_offset = batch.next_offset
                # Without a local name: this generator may be suspended for long, and would hold it.
                yield Batch(first, batch.next_offset, _records(batch, first, readable=readable))

    def _is_aborted(self, batch: Any) -> bool:
        if self._isolation_level != fetcher.READ_COMMITTED or batch.producer_id is None:
            return False
        # The same steps as in aiokafka's own reader. The broker lists aborted transactions by first
        # offset; an abort marker ends the list's entry of its producer.
        self._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and self._contains_abort_marker(batch):
            self._aborted_producers.discard(batch.producer_id)
        return bool(batch.is_transactional and batch.producer_id in self._aborted_producers)


def _records(batch: Any, first: int, *, readable: bool) -> Records:
    """Return the readable records of a batch from an offset on: a fetch brings a whole batch."""
    return Records.of(list(batch) if readable else ()).since(first)


class _FetchResult(fetcher.FetchResult):
    """aiokafka's fetch of a partition; returns batches of up to BLOCK_BYTES at once."""

    def getall(self, max_records: int | None = None) -> list[Any]:
        records = self._partition_records
        if records is None or records._value_deserializer is not AS_BATCHES:  # noqa: SLF001
            found: list[Any] = super().getall(max_records)
            return found
        batches: list[Any] = []
        size = 0
        # Unpack batches one by one: compressed, a fetch is many times smaller than in memory.
        while size < BLOCK_BYTES and (more := super().getall(1)):
            batches += more
            size += more[0].size
        return batches


# aiokafka's fetcher makes its readers by these names. Other consumers see no difference.
fetcher.PartitionRecords = _PartitionRecords
fetcher.FetchResult = _FetchResult
