"""The topic that lines go to: created if it is missing, and read for its limits."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from app.errors import UnavailableError
from app.kafka.creation import make_topics, no_broker
from app.sources.event_time import TimestampBounds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["TopicLimits", "ensure_topic"]

_SECONDS_TO_CONNECT = 10.0
_SECONDS_BETWEEN_TRIES = 0.5
_KEYS = (
    "max.message.bytes",
    "message.timestamp.type",
    "message.timestamp.before.max.ms",
    "message.timestamp.after.max.ms",
)


class TopicLimits(NamedTuple):
    """Limits of a topic; the defaults are Kafka's."""

    batch_bytes: int = 1_048_588
    """Most bytes of a produce batch."""
    times: TimestampBounds = TimestampBounds()


async def ensure_topic(
    brokers: Sequence[str],
    name: str,
    *,
    partitions: int,
    replication: int,
    config: Mapping[str, str] | None = None,
    seconds: float = _SECONDS_TO_CONNECT,
) -> TopicLimits:
    """Create the topic if it is missing; return its limits.

    Waits up to `seconds` for a broker. Raises UnavailableError if none answers, ConfigurationError
    if the topic cannot be created.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + seconds):
                return await _ensure(
                    brokers, NewTopic(name, partitions, replication, topic_configs=config)
                )
        except (KafkaError, OSError, TimeoutError) as error:
            if isinstance(error, KafkaError) and not error.retriable:
                raise UnavailableError(f"Kafka at {', '.join(brokers)} refuses: {error}") from None
            # Retry: the server is often started at the same time as this producer.
            if time.monotonic() + _SECONDS_BETWEEN_TRIES > deadline:
                raise no_broker(brokers, error) from None
        await asyncio.sleep(_SECONDS_BETWEEN_TRIES)


async def _ensure(brokers: Sequence[str], topic: NewTopic) -> TopicLimits:
    client = AIOKafkaAdminClient(bootstrap_servers=list(brokers), request_timeout_ms=10_000)
    try:
        await client.start()
        # List all topics: a request that names a missing one may make the broker create it.
        found = {topic["topic"] for topic in await client.describe_topics()}
        if topic.name not in found:
            await make_topics(client, [topic])
        return await _limits(client, topic.name)
    finally:
        await client.close()


async def _limits(client: AIOKafkaAdminClient, name: str) -> TopicLimits:
    resource = ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(_KEYS))
    for response in await client.describe_configs([resource]):
        for code, _, _, _, entries in response.resources:
            if not code:  # otherwise this producer has no right to read the configuration
                return _read({key: value for key, value, *_ in entries})
    return TopicLimits()


def _read(config: Mapping[str, str]) -> TopicLimits:
    times = TimestampBounds()
    if config.get("message.timestamp.type") == "LogAppendTime":
        times = times._replace(
            after_ms=times.before_ms
        )  # any time is accepted, and the broker's replaces it
    else:
        times = TimestampBounds(
            int(config.get("message.timestamp.before.max.ms", times.before_ms)),
            int(config.get("message.timestamp.after.max.ms", times.after_ms)),
        )
    return TopicLimits(int(config["max.message.bytes"]), times)
