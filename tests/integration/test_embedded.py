"""The embedded servers, for real: they serve, crash, come back, and leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, NoHostAvailable

from app.embedded import EmbeddedCassandra, EmbeddedKafka, start_together
from app.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cassandra.cluster import Session

ROOT = Path(__file__).parents[2]


async def produce(kafka: EmbeddedKafka, topic: str, count: int) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka.address) as producer:
        sent = [await producer.send(topic, b"%d" % number) for number in range(count)]
        await asyncio.gather(*sent)


async def consume(kafka: EmbeddedKafka, topic: str, count: int) -> list[bytes]:
    async with AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka.address,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    ) as consumer:
        async with asyncio.timeout(120):
            return [(await anext(consumer)).value for _ in range(count)]


async def create(kafka: EmbeddedKafka, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()


async def test_kafka_brings_what_was_sent(
    kafka: EmbeddedKafka, create_topic: Callable[..., Awaitable[str]], unique: str
) -> None:
    """Messages that were produced are consumed, in order."""
    topic = await create_topic(unique)
    await produce(kafka, topic, 100)
    assert await consume(kafka, topic, 100) == [b"%d" % number for number in range(100)]


async def test_kafka_runs_transactions(
    kafka: EmbeddedKafka, create_topic: Callable[..., Awaitable[str]], unique: str
) -> None:
    """One broker is enough for transactions: aborted messages are never read."""
    topic = await create_topic(unique)
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.address, transactional_id=unique
    ) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"aborted")
        await producer.abort_transaction()
        async with producer.transaction():
            await producer.send_and_wait(topic, b"committed")
    assert await consume(kafka, topic, 1) == [b"committed"]


async def test_kafka_makes_no_topic_by_itself(kafka: EmbeddedKafka, unique: str) -> None:
    """A mistyped topic stays missing."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await admin.start()
    try:
        described = await admin.describe_topics([unique])
        assert described[0]["error_code"] != 0
        assert unique not in await admin.list_topics()
    finally:
        await admin.close()


def test_cassandra_brings_what_was_inserted(session: Session, keyspace: str) -> None:
    """Rows that were inserted are selected."""
    session.set_keyspace(keyspace)
    session.execute("CREATE TABLE words (word text PRIMARY KEY, count bigint)")
    session.execute("INSERT INTO words (word, count) VALUES ('a', 3)")
    assert session.execute("SELECT word, count FROM words").one() == ("a", 3)


async def test_kafka_keeps_its_messages(tmp_path: Path) -> None:
    """After kill -9, and in a new server on the same directory, acknowledged messages are there."""
    async with EmbeddedKafka(data=tmp_path / "with space, ü") as kafka:
        await create(kafka, "topic")
        await produce(kafka, "topic", 1000)
        address, pid = kafka.address, kafka.pid
        kafka.kill()
        assert not kafka.running
        await asyncio.to_thread(kafka.start)
        assert kafka.address == address
        assert kafka.pid != pid
        assert len(await consume(kafka, "topic", 1000)) == 1000
    assert kafka.data.exists()
    async with EmbeddedKafka(data=kafka.data) as other:
        assert other.address != address
        assert len(await consume(other, "topic", 1000)) == 1000


def test_a_second_start_maps_the_classes_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first stop in order writes the archive of classes; the next JVM has it in memory."""
    monkeypatch.setattr("app.embedded.class_archive.cache_directory", lambda: tmp_path)
    with EmbeddedKafka() as kafka:
        kafka.restart()
        (archive,) = (tmp_path / "classes").glob("*.jsa")
        assert str(archive) in Path(f"/proc/{kafka.pid}/maps").read_text()


async def test_a_paused_kafka_answers_later() -> None:
    """While it is paused nothing is acknowledged; once resumed all is."""
    async with EmbeddedKafka() as kafka:
        await create(kafka, "topic")
        async with AIOKafkaProducer(bootstrap_servers=kafka.address) as producer:
            await producer.send_and_wait("topic", b"known")
            kafka.pause()
            sent = await producer.send("topic", b"patience")
            _, waiting = await asyncio.wait([sent], timeout=1)
            assert waiting
            kafka.resume()
            await asyncio.wait_for(sent, 120)
        data = kafka.data
    assert not data.exists()


def test_cassandra_keeps_its_rows(tmp_path: Path) -> None:
    """After kill -9, a restart, and in a new server on the same directory, the rows are there."""

    def rows(server: EmbeddedCassandra) -> int:
        with Cluster([server.host], port=server.port) as cluster:
            return len(list(cluster.connect().execute("SELECT * FROM k.t")))

    with EmbeddedCassandra(data=tmp_path / "with space, ü") as cassandra:
        with Cluster([cassandra.host], port=cassandra.port) as cluster:
            session = cluster.connect()
            session.execute(
                "CREATE KEYSPACE k WITH replication = "
                "{'class': 'SimpleStrategy', 'replication_factor': 1}"
            )
            session.execute("CREATE TABLE k.t (id int PRIMARY KEY)")
            for number in range(100):
                session.execute("INSERT INTO k.t (id) VALUES (%s)", (number,))
            cassandra.kill()
        address = cassandra.address
        cassandra.start()
        assert rows(cassandra) == 100
        cassandra.restart()
        assert cassandra.address == address
        assert rows(cassandra) == 100
    with EmbeddedCassandra(data=cassandra.data) as other:
        assert rows(other) == 100


def test_cassandra_requires_a_password_when_configured(wait_until: Callable[..., Any]) -> None:
    """Settings reach the server: with an authenticator, who has no password is refused."""
    login = PlainTextAuthProvider("cassandra", "cassandra")

    def connects(cassandra: EmbeddedCassandra, auth_provider: PlainTextAuthProvider | None) -> bool:
        with Cluster([cassandra.host], port=cassandra.port, auth_provider=auth_provider) as cluster:
            try:
                cluster.connect()
            except NoHostAvailable:
                return False
            return True

    settings = {"authenticator": "PasswordAuthenticator", "authorizer": "CassandraAuthorizer"}
    with EmbeddedCassandra(settings=settings) as cassandra:
        # Cassandra makes its first role just after it has begun to serve.
        wait_until(lambda: connects(cassandra, login))
        assert not connects(cassandra, None)


@pytest.mark.parametrize("kind", [EmbeddedKafka, EmbeddedCassandra])
def test_a_second_server_on_a_port_is_refused(
    kind: type[EmbeddedKafka | EmbeddedCassandra],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error names the port and the remedy, found before the start or by the server itself."""
    first = request.getfixturevalue(kind.name.lower())
    said = rf"{kind.name} can't listen on {first.address}: .* choose another port"
    started = time.monotonic()
    with pytest.raises(UnavailableError, match=said), kind(first.port):
        pass
    assert time.monotonic() - started < 3
    monkeypatch.setattr("app.embedded.server.ports.is_free", lambda *_: True)
    with pytest.raises(UnavailableError, match=said), kind(first.port):
        pass
    assert first.running


def test_a_failed_start_of_a_server_has_a_reason() -> None:
    """The line is the server's own when the cause is in its settings."""
    kafka = EmbeddedKafka(settings={"process.roles": "nonsense"})
    cassandra = EmbeddedCassandra(settings={"nonsense": 1})
    for server in (kafka, cassandra):
        with pytest.raises(UnavailableError, match="nonsense") as caught, server:
            pass
        assert "\n" not in str(caught.value)
        assert not server.running


def test_one_that_fails_ends_the_other() -> None:
    """When one of two can't start, neither is left."""
    kafka, cassandra = EmbeddedKafka(heap="nonsense"), EmbeddedCassandra()
    with pytest.raises(UnavailableError, match="Invalid maximum heap size"):
        start_together(kafka, cassandra)
    assert not kafka.running
    assert not cassandra.running


async def test_a_start_that_is_cancelled_leaves_nothing(wait_until: Callable[..., Any]) -> None:
    """Cancelling `async with` while the server starts ends it and throws its data away."""
    kafka = EmbeddedKafka()
    data = kafka.data
    starting = asyncio.create_task(kafka.__aenter__())
    await asyncio.to_thread(wait_until, lambda: kafka.running)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not kafka.running
    assert not data.exists()


START_AND_HANG = """
import time
from app.embedded import EmbeddedCassandra, EmbeddedKafka, start_together
kafka, cassandra = EmbeddedKafka(), EmbeddedCassandra()
start_together(kafka, cassandra)
print(kafka.pid, cassandra.pid, kafka.data, cassandra.data, flush=True)
time.sleep(600)
"""


def test_servers_die_with_python(
    wait_until: Callable[..., Any], gone: Callable[[int], bool], tmp_path: Path
) -> None:
    """After kill -9 of the Python process that started them, both servers are gone."""
    with subprocess.Popen(
        [sys.executable, "-c", START_AND_HANG],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as python:
        assert python.stdout is not None
        pids = [int(word) for word in python.stdout.readline().split()[:2]]
        assert not any(gone(pid) for pid in pids)
        python.kill()
    wait_until(lambda: all(gone(pid) for pid in pids))
