"""The servers that faults strike, and what a scenario asks of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaTimeoutError
from cassandra import DriverException, OperationTimedOut, RequestExecutionException
from cassandra.cluster import Cluster, ExecutionProfile, NoHostAvailable
from cassandra.policies import ConstantReconnectionPolicy

from app.embedded import EmbeddedCassandra, EmbeddedKafka, close_together, start_together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from tests.faults.text import Message

__all__ = ["Servers"]

_AWAY = (DriverException, RequestExecutionException, NoHostAvailable, OperationTimedOut, OSError)


class Servers:
    """A Kafka and a Cassandra of one's own, to be killed and started again."""

    def __init__(self) -> None:
        # Sessions are short here, so that the group notices a death in seconds.
        self.kafka = EmbeddedKafka(settings={"group.min.session.timeout.ms": 1000})
        self.cassandra = EmbeddedCassandra()
        self._cluster: Cluster | None = None

    def __enter__(self) -> Self:
        start_together(self.kafka, self.cassandra)
        self._cluster = Cluster(
            [self.cassandra.host],
            port=self.cassandra.port,
            reconnection_policy=ConstantReconnectionPolicy(0.5, max_attempts=None),
            execution_profiles={"short": ExecutionProfile(request_timeout=10)},
        )
        self._session = self._cluster.connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._cluster is not None:
            self._cluster.shutdown()
        close_together(self.kafka, self.cassandra)

    def make_table(self, keyspace: str) -> None:
        """Make the default table in a keyspace."""
        self._change(
            f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = "
            "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        )
        self._change(
            f"CREATE TABLE IF NOT EXISTS {keyspace}.words ("
            "word text, window_start timestamp, count bigint, PRIMARY KEY (word, window_start)"
            ") WITH CLUSTERING ORDER BY (window_start DESC)"
        )
        self._change(
            f"CREATE TABLE IF NOT EXISTS {keyspace}.top_words ("
            "window_start timestamp, partition int, rank int, word text, count bigint, "
            "PRIMARY KEY (window_start, partition, rank))"
        )

    def drop_table(self, keyspace: str) -> None:
        """Drop the keyspace with its table."""
        self._change(f"DROP KEYSPACE IF EXISTS {keyspace}")

    def _change(self, statement: str) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                self._session.execute(statement, timeout=30)
            except _AWAY:
                # The driver may still have to find out that a killed Cassandra is back.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
            else:
                return

    def rows(self, keyspace: str) -> dict[tuple[int, str], int] | None:
        """All rows of the table; None while Cassandra can't be asked."""
        query = f"SELECT word, toUnixTimestamp(window_start), count FROM {keyspace}.words"
        try:
            found = self._session.execute(query, execution_profile="short")
            return {(start, word): count for word, start, count in found}
        except _AWAY:
            return None

    def top_words(self, keyspace: str) -> dict[int, list[tuple[str, int]]]:
        """Each window's words in the table of top words, all partitions' ranks merged."""
        query = f"SELECT toUnixTimestamp(window_start), word, count FROM {keyspace}.top_words"
        tops: dict[int, list[tuple[str, int]]] = {}
        for start, word, count in self._session.execute(query, timeout=60):
            tops.setdefault(start, []).append((word, count))
        return {start: sorted(top, key=_by_count) for start, top in tops.items()}

    async def make_topic(self, name: str, partitions: int) -> None:
        """Make a topic."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka.address)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, partitions, 1)])
        finally:
            await admin.close()

    async def produce(
        self,
        topic: str,
        messages: Iterable[Message],
        acknowledged: Callable[[Message], None],
        seconds: float,
        total: int,
    ) -> None:
        """Send all messages, spread over so many seconds, each exactly once.

        The producer is idempotent and never gives up a message, so what it was given is in the
        topic once, in order, when this returns.
        """
        producer = AIOKafkaProducer(
            bootstrap_servers=self.kafka.address, enable_idempotence=True, linger_ms=5
        )
        await producer.start()
        try:
            loop = asyncio.get_running_loop()
            began = loop.time()
            sent: list[tuple[Message, asyncio.Future[Any]]] = []
            for number, message in enumerate(messages):
                ahead = began + seconds * number / total - loop.time()
                if ahead > 0.05:
                    await asyncio.sleep(ahead)
                sent.append((message, await _send(producer, topic, message)))
            for message, future in sent:
                await future
                acknowledged(message)
        finally:
            await producer.stop()

    async def count_records(self, topic: str, partitions: int) -> int:
        """How many committed records a topic holds."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.kafka.address, isolation_level="read_committed"
        )
        await consumer.start()
        try:
            own = [TopicPartition(topic, partition) for partition in range(partitions)]
            consumer.assign(own)
            await consumer.seek_to_beginning(*own)
            ends = await consumer.end_offsets(own)
            count = 0
            while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                found = await consumer.getmany(timeout_ms=500)
                count += sum(len(records) for records in found.values())
            return count
        finally:
            await consumer.stop()


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


async def _send(producer: AIOKafkaProducer, topic: str, message: Message) -> asyncio.Future[Any]:
    while True:
        # No room in the buffer while the broker is away: the message has not been taken.
        with contextlib.suppress(KafkaTimeoutError):
            future: asyncio.Future[Any] = await producer.send(
                topic,
                message.value,
                partition=message.partition,
                timestamp_ms=message.timestamp,
            )
            return future
