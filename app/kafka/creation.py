"""Creates topics, with clear errors; for workers and producers alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.errors import TopicAlreadyExistsError, for_code

from app.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

__all__ = ["make_topics", "no_broker"]


def no_broker(brokers: Sequence[str], error: BaseException) -> UnavailableError:
    """Return the error for brokers that do not answer."""
    return UnavailableError(
        f"no Kafka broker at {', '.join(brokers)} ({type(error).__name__}); "
        "start one, or set WORDCOUNT_BROKER"
    )


async def make_topics(client: AIOKafkaAdminClient, topics: Sequence[NewTopic]) -> list[str]:
    """Create topics; return the names of those that no other process has created meanwhile.

    Raises ConfigurationError for a topic that can't be created, and a retriable KafkaError for one
    that can be created later.
    """
    made = []
    response = await client.create_topics(list(topics)) if topics else None
    for name, code, *reason in response.topic_errors if response else ():
        error = for_code(code)
        if not code:
            made.append(name)
        elif error.retriable:
            raise error
        elif error is not TopicAlreadyExistsError:
            why = reason[0] if reason and reason[0] else error.__name__
            raise ConfigurationError(
                f"topic {name} can't be created: {why.rstrip('.')}; "
                "create it by hand, or fix WORDCOUNT_REPLICATION or the rights"
            )
    return made
