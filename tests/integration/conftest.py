"""Clients of the session's servers, and workers on them."""

from __future__ import annotations

import asyncio
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from cassandra.cluster import Cluster, Session

from app.cassandra.connecting import connect
from app.cassandra.schema import apply
from app.cassandra.writer import CassandraWriter
from app.settings import Settings
from tests.delivered import administrator
from tests.producers import Produce
from tests.workers import WorkerProcess, environ_with, faust
from tests.write_events import WriteEvents

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
    from pathlib import Path

    from app.cassandra.session import CassandraSession
    from app.embedded import EmbeddedCassandra, EmbeddedKafka
    from tests.conftest import Servers

    MakeWriter = Callable[..., Awaitable[CassandraWriter]]


@pytest.fixture(scope="session")
def session(cassandra: EmbeddedCassandra) -> Iterator[Session]:
    """A driver's session without a keyspace."""
    with Cluster([cassandra.host], port=cassandra.port) as cluster:
        yield cluster.connect()


@pytest.fixture
def keyspace(session: Session, unique: str) -> Iterator[str]:
    """A keyspace for this test alone."""
    session.execute(
        f"CREATE KEYSPACE {unique} WITH replication = "
        "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    )
    yield unique
    session.execute(f"DROP KEYSPACE {unique}")


@pytest.fixture
def events() -> WriteEvents:
    """The events of the writers of one test."""
    return WriteEvents()


@pytest.fixture
async def writer_of(
    cassandra: EmbeddedCassandra, keyspace: str, events: WriteEvents
) -> AsyncIterator[MakeWriter]:
    """Makes a writer into a keyspace of this test's own; makes its table where it is missing."""
    sessions: list[CassandraSession] = []

    async def make(**options: str) -> CassandraWriter:
        given = {f"WORDCOUNT_{name}": value for name, value in options.items()}
        where = {"WORDCOUNT_CASSANDRA": cassandra.address, "WORDCOUNT_KEYSPACE": keyspace}
        settings = Settings.read(where | given)
        sessions.append(await connect(settings))
        await apply(sessions[-1], settings)
        return await CassandraWriter.create(sessions[-1], settings, events)

    yield make
    for session in sessions:
        await session.close()


@pytest.fixture
async def admin(kafka: EmbeddedKafka) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client that changes topics of the session's Kafka."""
    async with administrator(kafka.address) as client:
        yield client


@pytest.fixture
def create_topic(admin: AIOKafkaAdminClient) -> Callable[..., Awaitable[str]]:
    """Creates a topic in the session's Kafka and returns its name."""

    async def create(name: str, partitions: int = 1, **config: str) -> str:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=config)])
        return name

    return create


class Stream:
    """A separate application on the session's servers: names, schema, text and workers.

    The group removes a dead worker after `session_seconds`.
    """

    session_seconds = 8

    def __init__(self, servers: Servers, name: str, folder: Path) -> None:
        self.name = name
        self.lines = f"{name}-lines"
        self.workers: list[WorkerProcess] = []
        self._broker = servers.kafka.address
        self._folder = folder
        self._environ = {
            "WORDCOUNT_BROKER": f"kafka://{self._broker}",
            "WORDCOUNT_CASSANDRA": servers.cassandra.address,
            "WORDCOUNT_ID": name,
            "WORDCOUNT_LINES": self.lines,
            "WORDCOUNT_KEYSPACE": name,
            "BROKER_SESSION_TIMEOUT": str(self.session_seconds),
            "BROKER_HEARTBEAT_INTERVAL": "1",
        }

    def configure(self, **settings: object) -> Stream:
        """Set WORDCOUNT_ settings by their names in lower case: `configure(grace="5s")`."""
        self._environ |= {
            f"WORDCOUNT_{name.upper()}": str(value) for name, value in settings.items()
        }
        return self

    def environ(self, **more: str) -> dict[str, str]:
        """The environment of this application's commands."""
        return environ_with(**{**self._environ, **more})

    def run(self, *arguments: str, port: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        """Run `faust -A app …` to its end; `port` is the web port of the worker to query."""
        more |= {"WORDCOUNT_WEB_PORT": str(port)} if port else {}
        return subprocess.run(
            faust(*arguments),
            env=self.environ(**more),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def start(self, *, ready: bool = True, app: str = "app", **more: str) -> WorkerProcess:
        """Start a worker with its own data directory, and wait until it is ready.

        `app` is the module of the application, `more` extends the stream's environment.
        """
        if not self.workers:
            # In a thread: the loop of a test may run in this one.
            with ThreadPoolExecutor(1) as pool:
                pool.submit(asyncio.run, self._create_table()).result()
        number = len(self.workers)
        worker = WorkerProcess(
            self._folder / f"data-{number}",
            self._folder / f"worker-{number}.log",
            {**self._environ, **more},
            app=app,
        ).start()
        self.workers.append(worker)
        if ready:
            worker.wait_until_ready()
        return worker

    async def _create_table(self) -> None:
        settings = Settings.read(self._environ)
        async with await connect(settings) as session:
            await apply(session, settings)

    async def produce(self, lines: Iterable[tuple[str, int]]) -> None:
        """Write lines, each with its timestamp (ms), to the partitions in turn."""
        producer = AIOKafkaProducer(bootstrap_servers=self._broker)
        await producer.start()
        try:
            partitions = sorted(await producer.partitions_for(self.lines))
            sent = [
                await producer.send(
                    self.lines,
                    line.encode(),
                    partition=partitions[number % len(partitions)],
                    timestamp_ms=timestamp,
                )
                for number, (line, timestamp) in enumerate(lines)
            ]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    def copies(self, number: int) -> set[int]:
        """Partitions whose rows worker `number` holds, as owner or as standby."""
        found = (self._folder / f"data-{number}").rglob("word_counts-*.rocksdb")
        return {int(path.stem.rpartition("-")[2]) for path in found}

    def close(self) -> None:
        """Kill the workers that still run."""
        for worker in self.workers:
            worker.kill()


@pytest.fixture(scope="session")
def new_stream(
    servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Stream]]:
    """Makes streams by name, for fixtures of a wider scope than one test."""
    streams = []

    def make(name: str) -> Stream:
        streams.append(Stream(servers, name, tmp_path_factory.mktemp(name[:20])))
        return streams[-1]

    yield make
    for stream in streams:
        stream.close()


@pytest.fixture
def stream(new_stream: Callable[[str], Stream], unique: str) -> Iterator[Stream]:
    """An application for this test alone; its workers are killed after the test."""
    made = new_stream(unique)
    yield made
    made.close()


@pytest.fixture
def worker(stream: Stream) -> Callable[..., WorkerProcess]:
    """`worker(grace="5s")` starts a worker of `stream` with these settings, once it is ready."""

    def start(**settings: object) -> WorkerProcess:
        return stream.configure(**settings).start()

    return start


@pytest.fixture
def started() -> Iterator[list[Produce]]:
    """Producers whose processes are killed after the test."""
    producers: list[Produce] = []
    yield producers
    for process in (process for producer in producers for process in producer.processes):
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None and not stream.closed:
                stream.close()


@pytest.fixture
def produce(
    kafka: EmbeddedKafka, unique: str, started: list[Produce], tmp_path_factory: Any
) -> Produce:
    """Runs `faust -A app produce` for this test's topic, which has the test's unique name."""
    started.append(Produce(kafka.address, unique, tmp_path_factory.mktemp("produce")))
    return started[-1]
