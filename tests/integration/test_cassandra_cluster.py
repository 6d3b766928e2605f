"""Three nodes with three replicas, and what happens when one or two of them go."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, Session
from cassandra.policies import ConstantReconnectionPolicy
from cassandra.query import SimpleStatement

from app.cassandra.connecting import connect
from app.cassandra.faults import DRIVER_ERRORS
from app.cassandra.replicas import replica_groups
from app.cassandra.rows import Row
from app.cassandra.schema import apply
from app.cassandra.writer import CassandraWriter
from app.errors import UnavailableError
from app.settings import Settings
from tests.cluster import CassandraCluster
from tests.write_events import WriteEvents

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from app.cassandra.session import CassandraSession
    from tests.integration.conftest import Stream
    from tests.workers import WorkerProcess

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 by itself"
)

START = 1_700_000_040_000
MINUTE = 60_000
RANKS = 10


@pytest.fixture(scope="module")
def cluster() -> Iterator[CassandraCluster]:
    # Nodes find out quickly which of them are gone.
    with CassandraCluster({"phi_convict_threshold": 6}) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def reader(cluster: CassandraCluster) -> Iterator[Session]:
    """A session that reads what a quorum has."""
    profile = ExecutionProfile(consistency_level=ConsistencyLevel.LOCAL_QUORUM, request_timeout=30)
    with Cluster(
        [node.host for node in cluster.nodes],
        port=cluster.nodes[0].port,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        reconnection_policy=ConstantReconnectionPolicy(0.5, max_attempts=None),
    ) as made:
        yield made.connect()


@pytest.fixture(autouse=True)
def all_up(cluster: CassandraCluster, reader: Session) -> None:
    """Before each test every node runs and knows it of the others."""
    cluster.start_all()
    three = "{'class': 'SimpleStrategy', 'replication_factor': 3}"
    patiently(reader, f"CREATE KEYSPACE IF NOT EXISTS probe WITH replication = {three}")
    patiently(reader, "CREATE TABLE IF NOT EXISTS probe.t (id int PRIMARY KEY)")
    insert = SimpleStatement(
        "INSERT INTO probe.t (id) VALUES (1)", consistency_level=ConsistencyLevel.ALL
    )
    deadline = time.monotonic() + 120
    while len(hosts := reader.cluster.metadata.all_hosts()) < len(cluster.nodes):
        assert time.monotonic() < deadline, hosts
        time.sleep(0.5)
        reader.cluster.refresh_nodes()
    for host in hosts:
        patiently(reader, insert, host)


def patiently(session: Session, statement: Any, host: Any = None) -> list[Any]:
    """Run a statement, by `host` if one is named, as soon as the nodes can."""
    deadline = time.monotonic() + 120
    while True:
        try:
            return list(session.execute(statement, host=host, timeout=10))
        except DRIVER_ERRORS:
            assert time.monotonic() < deadline
            time.sleep(0.2)


@pytest.fixture
def settings(cluster: CassandraCluster, unique: str) -> Settings:
    return Settings.read(
        {
            "WORDCOUNT_CASSANDRA": cluster.contact,
            "WORDCOUNT_CASSANDRA_DATACENTER": "datacenter1",
            "WORDCOUNT_KEYSPACE": unique,
            "WORDCOUNT_OUTPUT_RETRIES": "2",
        }
    )


@pytest.fixture
async def writer(settings: Settings) -> AsyncIterator[CassandraWriter]:
    """A writer into a keyspace with three replicas."""
    async with await connect(settings) as session:
        await apply(session, settings, 3)
        yield await CassandraWriter.create(session, settings)


def rows_of(count: int, generation: int) -> list[Row]:
    return [Row(f"word{n}", 0, MINUTE, generation, generation) for n in range(count)]


def text(seed: int, count: int) -> list[tuple[str, int]]:
    """Lines of two minutes, whose words differ in how often they come."""
    choose = random.Random(seed)
    return [
        (
            " ".join(f"w{int(choose.expovariate(0.02))}" for _ in range(10)),
            START + choose.randrange(2 * MINUTE),
        )
        for _ in range(count)
    ]


def counted(lines: list[tuple[str, int]]) -> Counter[tuple[int, str]]:
    return Counter((at // MINUTE * MINUTE, word) for line, at in lines for word in line.split())


def top_words(session: Session, keyspace: str, start: int) -> list[tuple[str, int]]:
    """The first words of a window, merged from the partitions' ranks (docs/cassandra.md)."""
    found = session.execute(
        f"SELECT word, count FROM {keyspace}.top_words WHERE window_start = %s", [start]
    )
    return sorted(((r.word, r.count) for r in found), key=lambda r: (-r[1], r[0]))[:RANKS]


async def test_a_node_that_is_killed_and_comes_back_stops_nothing(
    cluster: CassandraCluster, reader: Session, stream: Stream, wait_until: Callable[..., Any]
) -> None:
    """At LOCAL_QUORUM two of three nodes are enough to count and flush; counts are equal."""
    stream.configure(
        cassandra=cluster.contact,
        cassandra_datacenter="datacenter1",
        top_words=RANKS,
        flush_interval="200ms",
        grace="10m",
    )
    made = stream.run("schema", "--apply", "--replication-factor", "3")
    assert made.returncode == 0, made.stderr
    worker: WorkerProcess = stream.start()
    parts = [text(seed, 2_000) for seed in range(3)]
    expected: Counter[tuple[int, str]] = Counter()

    async def count(lines: list[tuple[str, int]]) -> None:
        expected.update(counted(lines))
        await stream.produce(lines)
        query = f"SELECT window_start, word, count FROM {stream.name}.words"

        def equal() -> bool:
            found = patiently(reader, query)
            return {
                (int(r.window_start.timestamp()) * 1000, r.word): r.count for r in found
            } == expected

        await asyncio.to_thread(wait_until, equal, 240)

    await count(parts[0])
    cluster.nodes[2].kill()
    await count(parts[1])
    assert worker.ready
    assert 'cassandra_nodes{state="down"} 1' in worker.get("/metrics")[1]
    await asyncio.to_thread(cluster.start_all)
    await count(parts[2])
    await asyncio.to_thread(
        worker.wait_until,
        lambda: 'cassandra_nodes{state="up"} 3' in worker.get("/metrics")[1],
    )
    for start in {start for start, _ in expected}:
        of_window = [(word, n) for (at, word), n in expected.items() if at == start]
        wanted = sorted(of_window, key=lambda r: (-r[1], r[0]))[:RANKS]
        assert top_words(reader, stream.name, start) == wanted
    assert worker.stop() == 0
    log = worker.output
    assert f"node {cluster.nodes[2].address} is down" in log
    assert f"node {cluster.nodes[2].address} is back" in log
    assert "Traceback" not in log


async def test_batches_go_to_one_set_of_replicas_each(
    cluster: CassandraCluster, settings: Settings
) -> None:
    """With one copy of each row every node owns a third; a batch goes straight to its owner."""
    single = dataclasses.replace(settings, keyspace=f"{settings.keyspace[:40]}_1")
    async with await connect(single) as session:
        await apply(session, single, 1)
        events = WriteEvents()
        writer = await CassandraWriter.create(session, single, events)
        group_of = replica_groups(session, single.keyspace)
        assert group_of is not None
        rows = rows_of(600, 1)
        groups = Counter(group_of(row.word.encode()) for row in rows)
        assert len(groups) == len(cluster.nodes)
        assert min(groups.values()) > 100
        result = await writer.write(rows)
        assert not result.unwritten
        # Each group's rows fill batches of their own.
        at_most = -(-events.bytes // single.output_batch_bytes) + len(groups)
        assert len(groups) <= events.batches <= at_most + len(groups)


async def test_nodes_that_hang_are_waited_for_and_then_not_counted_on(
    cluster: CassandraCluster, writer: CassandraWriter, settings: Settings, reader: Session
) -> None:
    """Two of three nodes hang: the third waits for them in vain, and later reports them as gone.

    No row counts as written at LOCAL_QUORUM; at ONE the third node is enough.
    """
    # Many small batches: some go to each node, those to the third are answered.
    small = dataclasses.replace(settings, output_batch_rows=5)
    events = WriteEvents()
    small_writer = await CassandraWriter.create(writer.session, small, events)
    one = dataclasses.replace(settings, output_consistency="ONE")
    session_at_one = await connect(one)
    faults: dict[str, str] = {}
    deadline = time.monotonic() + 240
    for node in cluster.nodes[1:]:
        node.pause()
    try:
        while not faults.keys() >= {"WriteTimeout", "Unavailable"}:
            assert time.monotonic() < deadline, faults
            events.failures.clear()
            result = await small_writer.write(rows_of(200, 1))
            assert len(result.unwritten) == 200
            assert result.faults.keys() == events.failures.keys()
            faults |= result.faults
        assert "timed out" in faults["WriteTimeout"]
        assert "Cannot achieve consistency level LOCAL_QUORUM" in faults["Unavailable"]
        async with session_at_one:
            at_one = await patiently_created(session_at_one, one, deadline)
            assert not (await at_one.write(rows_of(200, 1))).unwritten
    finally:
        cluster.start_all()
    await all_written(small_writer, reader, settings.keyspace, 2)


async def patiently_created(
    session: CassandraSession, settings: Settings, deadline: float
) -> CassandraWriter:
    """A writer, once the driver has left the nodes that hang."""
    while True:
        try:
            return await CassandraWriter.create(session, settings)
        except UnavailableError:
            assert time.monotonic() < deadline


async def all_written(
    writer: CassandraWriter, reader: Session, keyspace: str, generation: int
) -> None:
    deadline = time.monotonic() + 120
    result = await writer.write(rows_of(200, generation))
    while result.unwritten:
        assert time.monotonic() < deadline, result.faults
        result = await writer.write(rows_of(200, generation))
    # The driver of the reader may have to find the nodes again.
    found = await asyncio.to_thread(patiently, reader, f"SELECT count FROM {keyspace}.words")
    assert [row.count for row in found] == [generation] * 200
