"""The copy itself: each line of a topic once, at its time, with its headers."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from app.errors import ConfigurationError
from app.kafka.offset_loss import OffsetRange
from app.sources.base import Batch, Position, Source, SourceError
from app.sources.event_time import sane
from app.sources.kafka.cluster import broker_unavailable, describe, start_offset
from app.sources.kafka.group import GroupOffsets
from app.sources.throttled_output import ThrottledOutput

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from aiokafka.structs import ConsumerRecord

__all__ = ["KafkaSource"]

_MAX_RECORDS = 4000
"""Most records of a fetch; they stay in memory until their transaction ends."""

_FETCH_BYTES = 4 << 20
_FETCH_TIMEOUT_MS = 200
_CONNECT_TIMEOUT_SECONDS = 10.0
_SECONDS_BETWEEN_ATTEMPTS = 0.2
_SECONDS_BETWEEN_LISTINGS = 30.0
"""The source lists the partitions so often, since a topic can get new ones."""


class KafkaSource(Source):
    """Yields the committed lines of a topic; resumes where the copy of this name ended.

    The positions of the copy are in the target's cluster, in the transactions of the lines. The
    offsets of `group` in the source's cluster only serve tools that show lag.
    """

    def __init__(
        self,
        brokers: Sequence[str],
        topic: str,
        *,
        group: str,
        target: tuple[Sequence[str], str],
        to_end: bool = False,
    ) -> None:
        super().__init__()
        self.name = f"kafka {group} {topic}"
        self._brokers = list(brokers)
        self._topic = topic
        self._group = group
        self._group_offsets = GroupOffsets(group, brokers)
        self._target = target
        self._to_end = to_end
        self._cluster_id = ""
        self._copied: dict[str, int] = {}
        """Offsets of earlier runs, by the keys of positions."""
        self._next_offsets: dict[TopicPartition, int] = {}
        self._end_offsets: dict[TopicPartition, int] = {}
        """The offsets to end at, with `to_end`."""
        self._listed_at = 0.0
        self._output = ThrottledOutput(_SECONDS_BETWEEN_LISTINGS)
        self._consumer: AIOKafkaConsumer | None = None

    async def open(self) -> None:
        """Connect. Raises UnavailableError without a broker, ConfigurationError without a topic."""
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_SECONDS):
                self._cluster_id, topics = await describe(self._brokers)
                await self._refuse_itself()
                self._consumer = AIOKafkaConsumer(
                    bootstrap_servers=self._brokers,
                    group_id=self._group,
                    enable_auto_commit=False,
                    isolation_level="read_committed",
                    auto_offset_reset="none",
                    max_partition_fetch_bytes=_FETCH_BYTES,
                )
                await self._consumer.start()
        except (KafkaError, OSError, TimeoutError) as error:
            raise broker_unavailable(self._brokers, error) from None
        if self._topic not in topics:
            raise ConfigurationError(
                f"there is no topic {self._topic} at {', '.join(self._brokers)}; fix --from-topic"
            )

    async def _refuse_itself(self) -> None:
        brokers, topic = self._target
        if topic != self._topic:
            return
        # One cluster may be reached by different addresses, so compare its id, too.
        shared = {*brokers} & {*self._brokers}
        if shared or (await describe(brokers)).id == self._cluster_id:
            raise ConfigurationError(
                f"topic {topic} would be copied to itself without end; choose another --topic"
            )

    async def resume(self, positions: Mapping[str, Any]) -> None:
        """Resume this copy; new partitions start where the group was, or at the beginning."""
        self._copied = {
            key: value["offset"] for key, value in positions.items() if "offset" in value
        }
        deadline = time.monotonic() + _CONNECT_TIMEOUT_SECONDS
        while True:
            try:
                await self._add_partitions()
                if self._to_end:
                    self._end_offsets = await self._client.end_offsets(list(self._next_offsets))
            except (KafkaError, OSError) as error:
                # A topic that was created just now has no leaders yet.
                if time.monotonic() > deadline:
                    raise broker_unavailable(self._brokers, error) from None
                await self.pause(_SECONDS_BETWEEN_ATTEMPTS)
            else:
                return

    @property
    def _client(self) -> AIOKafkaConsumer:
        assert self._consumer is not None, "open comes first"  # noqa: S101 - for mypy
        return self._consumer

    def _key(self, partition: TopicPartition) -> str:
        """The key includes the cluster's id: an address may later lead to another cluster."""
        return f"{self.name} {partition.partition} {self._cluster_id}"

    async def _add_partitions(self) -> None:
        """List the topic's partitions; start each new one where its copy ended."""
        self._listed_at = time.monotonic()
        _, topics = await describe(self._brokers)
        listed = [TopicPartition(self._topic, number) for number in topics.get(self._topic, [])]
        new = [partition for partition in listed if partition not in self._next_offsets]
        if not new:
            return
        starts = await self._client.beginning_offsets(new)
        ends = await self._client.end_offsets(new)
        for partition in new:
            copied = self._copied.get(self._key(partition))
            if copied is None:
                copied = await self._group_offsets.read(partition)
            if copied is None:
                copied = starts[partition]
            held = OffsetRange(starts[partition], ends[partition])
            self._next_offsets[partition] = start_offset(partition, copied, held)
        # Seek without an await in between: otherwise the client looks for offsets of its own, and
        # with auto_offset_reset="none" it fails.
        self._client.assign(list(self._next_offsets))
        for partition, offset in self._next_offsets.items():
            self._client.seek(partition, offset)

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield the records of each fetch, partition by partition."""
        while not self.stopping.is_set() and not self._done:
            try:
                # Before the fetch, since it seeks: records fetched before it would come twice.
                if time.monotonic() > self._listed_at + _SECONDS_BETWEEN_LISTINGS:
                    await self._add_partitions()
                fetched = await self._client.getmany(
                    timeout_ms=_FETCH_TIMEOUT_MS, max_records=_MAX_RECORDS
                )
            except OffsetOutOfRangeError as error:
                raise SourceError(
                    f"messages of topic {self._topic} were deleted before they were copied "
                    f"({error}); restart to copy the remaining ones"
                ) from None
            except (KafkaError, OSError) as error:
                unavailable = broker_unavailable(self._brokers, error)
                self._output.notify("unavailable", f"{unavailable}; retrying")
                await self.pause(1)
                continue
            for partition, records in fetched.items():
                for batch in self._batches(partition, records):
                    self.at_hand = self._next_offsets[partition] <= records[-1].offset
                    yield batch
            await self._skip_invisible(fetched)

    async def _skip_invisible(self, fetched: Mapping[TopicPartition, object]) -> None:
        # A consumer never gets the messages of aborted transactions, but its position passes them.
        # Without it, a partition that ends with such messages would never reach its end.
        for partition in self._end_offsets:
            if partition not in fetched:
                self._next_offsets[partition] = await self._client.position(partition)

    @property
    def _done(self) -> bool:
        return self._to_end and all(
            self._next_offsets[partition] >= end for partition, end in self._end_offsets.items()
        )

    def _batches(
        self, partition: TopicPartition, records: Sequence[ConsumerRecord]
    ) -> Iterator[Batch]:
        """Group records of the same time and headers into batches."""
        key, partition_key = self._key(partition), partition.partition
        for (timestamp, headers), group in itertools.groupby(records, _shared):
            alike = list(group)
            values = [record.value for record in alike if record.value is not None]
            self._next_offsets[partition] = offset = alike[-1].offset + 1
            position = Position(key, {"offset": offset})
            self._group_offsets.yielded(position, partition, offset)
            text = b"\n".join(values)
            lines = text.count(b"\n") + 1 if values else 0
            yield Batch(
                text,
                lines,
                sane(timestamp, 0),
                position,
                headers=headers,
                partition_key=partition_key,
            )

    async def acknowledge(self, position: object) -> None:
        """Commit the group's offsets up to this position."""
        await self._group_offsets.commit(position, self._client)

    async def close(self) -> None:
        """Disconnect from the source's cluster."""
        await self._group_offsets.close()
        if self._consumer is not None:
            await self._consumer.stop()


def _shared(record: ConsumerRecord) -> tuple[int, tuple[tuple[str, bytes], ...]]:
    return record.timestamp, tuple(record.headers)
