"""Clients of the session's servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from cassandra.cluster import Cluster, Session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from app.embedded import EmbeddedCassandra, EmbeddedKafka


@pytest.fixture(scope="session")
def session(cassandra: EmbeddedCassandra) -> Iterator[Session]:
    """A driver's session without a keyspace."""
    with Cluster([cassandra.host], port=cassandra.port) as cluster:
        yield cluster.connect()


@pytest.fixture
def keyspace(session: Session, unique: str) -> Iterator[str]:
    """A keyspace of this test's own."""
    session.execute(
        f"CREATE KEYSPACE {unique} WITH replication = "
        "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    )
    yield unique
    session.execute(f"DROP KEYSPACE {unique}")


@pytest.fixture
async def create_topic(kafka: EmbeddedKafka) -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """Makes a topic of the session's Kafka and returns its name."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await admin.start()

    async def create(name: str, partitions: int = 1) -> str:
        await admin.create_topics([NewTopic(name, partitions, 1)])
        return name

    yield create
    await admin.close()
