"""The topic that lines go to: made where it is missing, measured where it is there."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from app.errors import UnavailableError
from app.kafka.creation import make_topics, no_broker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ensure_topic"]

_DEFAULT_MESSAGE_BYTES = 1_048_588
_SECONDS_TO_CONNECT = 10.0
_SECONDS_BETWEEN_TRIES = 0.5


async def ensure_topic(
    brokers: Sequence[str],
    name: str,
    *,
    partitions: int,
    replication: int,
    config: Mapping[str, str] | None = None,
    seconds: float = _SECONDS_TO_CONNECT,
) -> int:
    """Make the topic if there is none; the most bytes that it takes in one produce batch.

    Waits up to `seconds` for a broker. Raises UnavailableError if none answers, ConfigurationError
    if the topic can't be made.
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
            # Not there yet, or about to be: servers are often started at the same time as we are.
            if time.monotonic() + _SECONDS_BETWEEN_TRIES > deadline:
                raise no_broker(brokers, error) from None
        await asyncio.sleep(_SECONDS_BETWEEN_TRIES)


async def _ensure(brokers: Sequence[str], topic: NewTopic) -> int:
    client = AIOKafkaAdminClient(bootstrap_servers=list(brokers), request_timeout_ms=10_000)
    try:
        await client.start()
        # Ask for one more than one topic by name and a broker might make it, in its own way.
        found = {topic["topic"] for topic in await client.describe_topics()}
        if topic.name not in found:
            await make_topics(client, [topic])
        return await _message_bytes(client, topic.name)
    finally:
        await client.close()


async def _message_bytes(client: AIOKafkaAdminClient, name: str) -> int:
    resource = ConfigResource(ConfigResourceType.TOPIC, name, {"max.message.bytes": None})
    for response in await client.describe_configs([resource]):
        for code, _, _, _, entries in response.resources:
            if code:  # not ours to ask
                continue
            for key, value, *_ in entries:
                if key == "max.message.bytes":
                    return int(value)
    return _DEFAULT_MESSAGE_BYTES
