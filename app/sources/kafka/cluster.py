"""Facts about clusters and partitions that a copy reads before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient

from app.errors import UnavailableError
from app.sources.base import SourceError
from app.sources.notices import notify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiokafka import TopicPartition

    from app.kafka.offset_loss import OffsetRange

__all__ = ["Cluster", "broker_unavailable", "describe", "start_offset"]


class Cluster(NamedTuple):
    """The id of a cluster and the partition numbers of each of its topics."""

    id: str
    topics: Mapping[str, Sequence[int]]


async def describe(brokers: Sequence[str]) -> Cluster:
    """Read the id and the topics of a cluster. Raises KafkaError, OSError."""
    client = AIOKafkaAdminClient(bootstrap_servers=list(brokers))
    try:
        await client.start()
        cluster = await client.describe_cluster()
        topics = await client.describe_topics()
    finally:
        await client.close()
    return Cluster(
        cluster["cluster_id"],
        {
            topic["topic"]: [partition["partition"] for partition in topic["partitions"]]
            for topic in topics
        },
    )


def broker_unavailable(brokers: Sequence[str], error: BaseException) -> UnavailableError:
    """The error for a cluster of which no broker answers."""
    return UnavailableError(
        f"no Kafka broker at {', '.join(brokers)} ({type(error).__name__}); "
        "start one, or fix --from"
    )


def start_offset(partition: TopicPartition, copied: int, held: OffsetRange) -> int:
    """Return the offset to start at if the copy has everything before `copied`.

    Reports messages that were deleted before they were copied. Raises SourceError if the partition
    ends before `copied`: then it belongs to a new topic of the same name.
    """
    place = f"partition {partition.partition} of topic {partition.topic}"
    if copied > held.log_end:
        raise SourceError(
            f"{place} ends at {held.log_end}, but was copied up to {copied}: the topic was "
            "recreated; copy it with another --group"
        )
    if copied < held.log_start:
        notify(
            f"{held.log_start - copied} messages of {place} are lost, deleted before they were "
            "copied"
        )
    return max(copied, held.log_start)
