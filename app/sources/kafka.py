"""Copies a topic, of this cluster or another: every line once, at its time, with its headers."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndMetadata

from app.errors import ConfigurationError, UnavailableError
from app.kafka.offsets import CommittedOffsets
from app.sources.base import Batch, Position, Source, SourceError
from app.sources.event_time import sane
from app.sources.progress import say
from app.sources.throttled_output import ThrottledOutput

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from aiokafka.structs import ConsumerRecord

__all__ = ["KafkaSource"]

logger = logging.getLogger(__name__)

_RECORDS = 4000
"""Most records of a look; they are in memory until their transaction ends."""

_FETCH_BYTES = 4 << 20
_WAIT_MS = 200
_SECONDS_TO_CONNECT = 10.0
_SECONDS_BETWEEN_TRIES = 0.2
_SECONDS_BETWEEN_LOOKS = 30.0


class KafkaSource(Source):
    """The lines of a topic from where the copy of this name was, at first from the beginning.

    Reads what is committed. Where the copy is, the target's positions say, in the transactions of
    the lines; `group` is told as well, in the source's cluster, so that tools show the lag.
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
        self._offsets = CommittedOffsets(group, brokers)
        self._target = target
        self._to_end = to_end
        self._cluster = ""
        self._next: dict[TopicPartition, int] = {}
        """Where to read on, by partition."""
        self._ends: dict[TopicPartition, int] = {}
        self._yielded: deque[tuple[object, TopicPartition, int]] = deque()
        self._looked = 0.0
        self._known: dict[str, int] = {}
        self._notices = ThrottledOutput(_SECONDS_BETWEEN_LOOKS)
        self._consumer: AIOKafkaConsumer | None = None

    async def open(self) -> None:
        """Connect. Raises UnavailableError without a broker, ConfigurationError without a topic."""
        try:
            async with asyncio.timeout(_SECONDS_TO_CONNECT):
                self._cluster, topics = await _describe(self._brokers)
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
            raise self._away(error) from None
        if self._topic not in topics:
            raise ConfigurationError(
                f"there is no topic {self._topic} at {', '.join(self._brokers)}; mend --from-topic"
            )

    async def _refuse_itself(self) -> None:
        brokers, topic = self._target
        if topic != self._topic:
            return
        there = {*brokers} & {*self._brokers} or (await _describe(brokers))[0] == self._cluster
        if there:
            raise ConfigurationError(
                f"topic {topic} would be copied to itself without end; choose another --topic"
            )

    async def resume(self, positions: Mapping[str, Any]) -> None:
        """Go on where this copy was; new partitions begin where the group was, or at the start."""
        self._known = {
            key: value["offset"] for key, value in positions.items() if "offset" in value
        }
        deadline = time.monotonic() + _SECONDS_TO_CONNECT
        while True:
            try:
                await self._look()
                if self._to_end:
                    self._ends = await self._client.end_offsets(list(self._next))
            except (KafkaError, OSError) as error:
                # A topic that was just made has no leaders yet.
                if time.monotonic() > deadline:
                    raise self._away(error) from None
                await self.pause(_SECONDS_BETWEEN_TRIES)
            else:
                return

    def _away(self, error: BaseException) -> UnavailableError:
        return UnavailableError(
            f"no Kafka broker at {', '.join(self._brokers)} ({type(error).__name__}); "
            "start one, or mend --from"
        )

    @property
    def _client(self) -> AIOKafkaConsumer:
        assert self._consumer is not None, "open comes first"  # noqa: S101 - for mypy
        return self._consumer

    def _key(self, partition: TopicPartition) -> str:
        """The cluster is named, too: an address may become another's."""
        return f"{self.name} {partition.partition} {self._cluster}"

    async def _look(self) -> None:
        """Find the topic's partitions, new ones too, and take up each where it was left."""
        self._looked = time.monotonic()
        _, topics = await _describe(self._brokers)
        found = [TopicPartition(self._topic, number) for number in topics.get(self._topic, [])]
        new = [partition for partition in found if partition not in self._next]
        if not new:
            return
        first = await self._client.beginning_offsets(new)
        ends = await self._client.end_offsets(new)
        for partition in new:
            known = self._known.get(self._key(partition))
            if known is None:
                committed = await self._offsets.read(partition)
                known = committed.offset if committed.offset >= 0 else first[partition]
            self._next[partition] = self._within(partition, known, first[partition], ends)
        # At once: between the two the client would look for places of its own, and not find any.
        self._client.assign(list(self._next))
        for partition, offset in self._next.items():
            self._client.seek(partition, offset)

    def _within(
        self, partition: TopicPartition, known: int, first: int, ends: Mapping[TopicPartition, int]
    ) -> int:
        place = f"partition {partition.partition} of topic {partition.topic}"
        if known > ends[partition]:
            raise SourceError(
                f"{place} ends at {ends[partition]}, but was copied up to {known}: it was made "
                "anew; copy it with another --group"
            )
        if known < first:
            say(f"{first - known} messages of {place} are gone, deleted before they were copied")
        return max(known, first)

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield what a look brings, partition by partition."""
        while not self.stopping.is_set() and not self._done:
            try:
                # Before, since it seeks: what was fetched would come again.
                if time.monotonic() > self._looked + _SECONDS_BETWEEN_LOOKS:
                    await self._look()
                found = await self._client.getmany(timeout_ms=_WAIT_MS, max_records=_RECORDS)
            except OffsetOutOfRangeError as error:
                raise SourceError(
                    f"messages of topic {self._topic} were deleted before they were copied "
                    f"({error}); start again to go on with those that are left"
                ) from None
            except (KafkaError, OSError) as error:
                self._notices.say("away", f"{self._away(error)}; trying on")
                await self.pause(1)
                continue
            for partition, records in found.items():
                for batch in self._batches(partition, records):
                    self.at_hand = self._next[partition] <= records[-1].offset
                    yield batch
            await self._pass(found)

    async def _pass(self, found: Mapping[TopicPartition, object]) -> None:
        # What no consumer is shown, as an aborted transaction's messages, is passed all the same.
        for partition in self._ends:
            if partition not in found:
                self._next[partition] = await self._client.position(partition)

    @property
    def _done(self) -> bool:
        return self._to_end and all(self._next[p] >= end for p, end in self._ends.items())

    def _batches(
        self, partition: TopicPartition, records: Sequence[ConsumerRecord]
    ) -> Iterator[Batch]:
        key, partition_key = self._key(partition), partition.partition
        for (timestamp, headers), group in itertools.groupby(records, _shared):
            alike = list(group)
            values = [record.value for record in alike if record.value is not None]
            self._next[partition] = offset = alike[-1].offset + 1
            position = Position(key, {"offset": offset})
            self._yielded.append((position, partition, offset))
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
        """Tell the group how far the copy is: for tools that show lag, nothing depends on it."""
        if not any(mark is position for mark, *_ in self._yielded):
            return  # it was told before
        offsets = {}
        mark: object = None
        while mark is not position:
            mark, partition, offset = self._yielded.popleft()
            offsets[partition] = OffsetAndMetadata(offset, "")
        try:
            async with asyncio.timeout(_SECONDS_TO_CONNECT):
                await self._client.commit(offsets)
        except (KafkaError, OSError, TimeoutError) as error:
            logger.warning("%r", error)

    async def close(self) -> None:
        """Leave the source's cluster."""
        await self._offsets.close()
        if self._consumer is not None:
            await self._consumer.stop()


def _shared(record: ConsumerRecord) -> tuple[int, tuple[tuple[str, bytes], ...]]:
    return record.timestamp, tuple(record.headers)


async def _describe(brokers: Sequence[str]) -> tuple[str, dict[str, list[int]]]:
    """A cluster's id, and the partitions of its topics."""
    client = AIOKafkaAdminClient(bootstrap_servers=list(brokers))
    try:
        await client.start()
        cluster = await client.describe_cluster()
        topics = await client.describe_topics()
    finally:
        await client.close()
    return cluster["cluster_id"], {
        topic["topic"]: [partition["partition"] for partition in topic["partitions"]]
        for topic in topics
    }
