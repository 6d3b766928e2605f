"""The application's topics: creates the missing ones and checks the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from app.errors import ConfigurationError, UnavailableError
from app.kafka.creation import make_topics, no_broker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.settings import Settings

__all__ = ["TopicPlan", "ensure_topics", "other_partitions", "plans"]

MESSAGE_BYTES = str(8 << 20)
"""Largest message of internal topics: a message of lines (1 MiB by default), and what is added."""

WEEK_MS = str(7 * 24 * 3_600_000)

KEPT_BYTES = str(1 << 30)
"""Size of the late and of the rejected messages that Kafka keeps of each partition, in bytes."""

SHOWN_SECONDS = 10
"""How long the broker may take to show a topic after its creation."""


class TopicPlan(NamedTuple):
    """The name, partitions and configuration of a topic; `setting` is the one that names it."""

    name: str
    partitions: int
    config: Mapping[str, str]
    setting: str


def plans(settings: Settings) -> list[TopicPlan]:
    """Return every topic that a worker uses.

    All have the same number of partitions, so that the owner of partials[q] owns changelog[q] too.
    """
    deleted = {
        "cleanup.policy": "delete",
        "retention.ms": WEEK_MS,
        "max.message.bytes": MESSAGE_BYTES,
    }
    # By size: these messages keep their own times, and retention by time would delete old ones.
    kept = deleted | {
        "retention.ms": "-1",
        "retention.bytes": KEPT_BYTES,
        "segment.bytes": str(128 << 20),
    }
    # Kafka compacts closed segments only, so each is closed after an hour. Compaction starts once a
    # third of the log is dirty, or after a day. Records not yet compacted make recovery longer.
    compacted = {
        "max.message.bytes": MESSAGE_BYTES,
        "cleanup.policy": "compact",
        "min.cleanable.dirty.ratio": "0.3",
        "segment.ms": "3600000",
        "max.compaction.lag.ms": "86400000",
    }
    return [
        TopicPlan(settings.lines, settings.partitions, {}, "WORDCOUNT_LINES"),
        TopicPlan(settings.partials, settings.partitions, deleted, "WORDCOUNT_ID"),
        TopicPlan(settings.changelog, settings.partitions, compacted, "WORDCOUNT_ID"),
        TopicPlan(settings.late, settings.partitions, kept, "WORDCOUNT_ID"),
        TopicPlan(settings.rejected, settings.partitions, kept, "WORDCOUNT_ID"),
    ]


async def ensure_topics(settings: Settings) -> list[str]:
    """Create the missing topics and check them all; return the names of those it has created.

    Raises UnavailableError if no broker answers, ConfigurationError if a topic has another number
    of partitions than WORDCOUNT_PARTITIONS or can't be created.
    """
    client = AIOKafkaAdminClient(bootstrap_servers=list(settings.broker), request_timeout_ms=10_000)
    try:
        await client.start()
        missing = [
            NewTopic(plan.name, plan.partitions, settings.replication, topic_configs=plan.config)
            for plan in await _missing(client, plans(settings))
        ]
        made = await make_topics(client, missing)
        await _wait_for(client, plans(settings))
    except (KafkaError, OSError) as error:
        raise no_broker(settings.broker, error) from None
    finally:
        await client.close()
    return made


async def _missing(client: AIOKafkaAdminClient, wanted: list[TopicPlan]) -> list[TopicPlan]:
    """Return the topics that do not exist; check the others."""
    found = {topic["topic"]: len(topic["partitions"]) for topic in await client.describe_topics()}
    for plan in wanted:
        _check(plan, found.get(plan.name))
    return [plan for plan in wanted if plan.name not in found]


async def _wait_for(client: AIOKafkaAdminClient, wanted: list[TopicPlan]) -> None:
    # A broker shows a topic a moment after its creation, and another worker may have created it.
    try:
        async with asyncio.timeout(SHOWN_SECONDS):
            while await _missing(client, wanted):  # noqa: ASYNC110 - Kafka sends no event
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise UnavailableError(
            f"Kafka created topics that it does not show within {SHOWN_SECONDS:.0f} s; "
            "check that all its brokers run, and start again"
        ) from None


def _check(plan: TopicPlan, partitions: int | None) -> None:
    if partitions is not None and partitions != plan.partitions:
        raise other_partitions(plan.name, partitions, plan.partitions, plan.setting)


def other_partitions(
    topic: str, found: int, wanted: int, setting: str = "WORDCOUNT_LINES or WORDCOUNT_ID"
) -> ConfigurationError:
    """Return the error for a topic whose number of partitions is not that of the settings."""
    return ConfigurationError(
        f"topic {topic} has {found} partitions, not {wanted}: "
        f"set WORDCOUNT_PARTITIONS={found}, or use another topic by {setting}"
    )
