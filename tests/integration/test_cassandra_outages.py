"""The writer while its Cassandra dies, hangs and comes back."""

from __future__ import annotations

import asyncio
import gc
import math
import re
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from cassandra.policies import ConstantReconnectionPolicy
from cassandra.protocol import StartupMessage

from app.cassandra.connecting import connect
from app.cassandra.results import Unobserved, WriteResult
from app.cassandra.rows import Row
from app.cassandra.schema import apply
from app.cassandra.sink import CassandraSink
from app.cassandra.writer import CassandraWriter
from app.embedded import EmbeddedCassandra
from app.settings import Settings
from tests.write_events import WriteEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.cassandra.session import CassandraSession
    from tests.integration.conftest import Stream


@pytest.fixture(scope="module")
def own_cassandra() -> Iterator[EmbeddedCassandra]:
    """A server that these tests may kill.

    It syncs its commit log before it acknowledges. With the usual periodic sync a node that is
    killed forgets what it acknowledged in its last moments; other replicas then have it.
    """
    durable = {"commitlog_sync": "batch", "commitlog_sync_period": "0ms"}
    with EmbeddedCassandra(settings=durable, timeout=300.0) as server:
        yield server


@pytest.fixture
def server(own_cassandra: EmbeddedCassandra) -> EmbeddedCassandra:
    """That server, running."""
    return own_cassandra.start()


def settings_of(server: EmbeddedCassandra, keyspace: str, **options: str) -> Settings:
    given = {f"WORDCOUNT_{name}": value for name, value in options.items()}
    return Settings.read(
        {"WORDCOUNT_CASSANDRA": server.address, "WORDCOUNT_KEYSPACE": keyspace, **given}
    )


async def stored(session: CassandraSession, keyspace: str) -> dict[str, int]:
    """The count of every word that is really there."""
    # The name is this test's own.
    rows = await session.execute(f"SELECT word, count FROM {keyspace}.words")
    return {row.word: row.count for row in rows}


async def stored_once_up(settings: Settings) -> dict[str, int]:
    """Return the rows that a new session reads."""
    async with await connect(settings) as session:
        return await stored(session, settings.keyspace)


def living(kind: type, condition: Callable[[Any], bool] = lambda _: True) -> list[str]:
    """All objects of a kind that live. Only their names: a list of them would keep them alive."""
    gc.collect()
    return [str(thing) for thing in gc.get_objects() if type(thing) is kind and condition(thing)]


def rows_of(count: int, generation: int) -> list[Row]:
    return [Row(f"word{n}", 0, 60_000, generation, generation) for n in range(count)]


async def test_a_crash_and_restart_in_the_middle_of_writes_loses_nothing(
    server: EmbeddedCassandra, unique: str
) -> None:
    """A server is killed under load and restarted: it has every row that it acknowledged.

    The test writes all other rows with the next generation, as the flush does; then all are stored.
    """
    settings = settings_of(server, unique, OUTPUT_RETRIES="3")
    async with await connect(settings) as session:
        await apply(session, settings)
        events = WriteEvents()
        writer = await CassandraWriter.create(session, settings, events)
        acknowledged: dict[str, int] = {}
        crash: asyncio.Task[Any] | None = None
        deadline = time.monotonic() + 90
        generation, result = 0, WriteResult()
        while crash is None or not crash.done() or result.unwritten:
            assert time.monotonic() < deadline
            generation += 1
            rows = rows_of(5_000, generation)
            result = await writer.write(rows)
            unwritten = {row.word for row in result.unwritten}
            assert result.rows + len(unwritten) == 5_000
            acknowledged |= {row.word: row.count for row in rows if row.word not in unwritten}
            if crash is None and generation == 3:
                crash = asyncio.ensure_future(asyncio.to_thread(crash_and_restart, server))
        await crash
        assert events.failures
        assert acknowledged == dict.fromkeys((row.word for row in rows), generation)
        assert await stored(session, unique) == acknowledged


def crash_and_restart(server: EmbeddedCassandra) -> None:
    server.kill()
    server.start()


class FirstAnswer(Unobserved):
    """Sets an event when Cassandra has acknowledged a batch."""

    def __init__(self) -> None:
        self.came = asyncio.Event()

    def acknowledged(self, rows: int, size: int, seconds: float) -> None:
        """Take note."""
        self.came.set()


async def test_what_was_acknowledged_before_a_crash_is_there_after_it(
    server: EmbeddedCassandra, unique: str
) -> None:
    """A restarted server has at least the rows that the writer reported as written."""
    settings = settings_of(server, unique, OUTPUT_RETRIES="0", OUTPUT_BATCH_ROWS="5")
    async with await connect(settings) as session:
        await apply(session, settings)
        first = FirstAnswer()
        writer = await CassandraWriter.create(session, settings, first)
        write = asyncio.ensure_future(writer.write(rows_of(100_000, 1)))
        async with asyncio.timeout(120):
            await first.came.wait()
        await asyncio.to_thread(server.kill)
        result = await write
    assert result.rows > 0
    assert result.unwritten
    await asyncio.to_thread(server.start)
    there = await stored_once_up(settings)
    unwritten = {row.word for row in result.unwritten}
    written = {row.word for row in rows_of(100_000, 1)} - unwritten
    assert len(written) == result.rows
    assert written <= there.keys()


async def test_a_server_that_is_down_is_reported_in_time(
    server: EmbeddedCassandra, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Every row comes back after the tries, whatever their number; the log has no traceback."""
    settings = settings_of(server, unique, OUTPUT_RETRIES="4")
    async with await connect(settings) as session:
        await apply(session, settings)
        events = WriteEvents()
        writer = await CassandraWriter.create(session, settings, events)
        await asyncio.to_thread(server.kill)
        began = time.monotonic()
        result = await writer.write(rows_of(20_000, 1))
        assert time.monotonic() - began < 10
        assert len(result.unwritten) == 20_000
        assert events.retries > 0
        assert events.failures
        assert result.faults.keys() == events.failures.keys()
        began = time.monotonic()
        result = await writer.write(rows_of(20_000, 1), timeout_seconds=1.0)
        assert time.monotonic() - began < 3
        assert len(result.unwritten) == 20_000
    assert all(record.exc_info is None for record in caplog.records)
    assert len(caplog.records) < 20


async def test_an_outage_leaves_nothing_behind(server: EmbeddedCassandra, unique: str) -> None:
    """Connections that failed under writes go, with the rows that were under way on them."""
    settings = settings_of(server, unique, OUTPUT_RETRIES="1")
    async with await connect(settings) as session:
        await apply(session, settings)
        writer = await CassandraWriter.create(session, settings)
        for generation in range(1, 4):
            killing = asyncio.create_task(asyncio.to_thread(server.kill))
            rows = [Row(f"{unique} {n}", 0, 60_000, n, generation) for n in range(50_000)]
            result = await writer.write(rows, timeout_seconds=5.0)
            assert result.unwritten
            del result, rows
            await killing
            await asyncio.to_thread(server.start)
            deadline = time.monotonic() + 60
            while (await writer.write(rows_of(10, generation))).unwritten:
                assert time.monotonic() < deadline
        connection = session.cluster.connection_class
        deadline = time.monotonic() + 30
        while left := [
            *living(connection, lambda each: each.is_closed),
            *living(Row, lambda each: each.word.startswith(unique)),
        ]:
            assert time.monotonic() < deadline, left[:5]
            await asyncio.sleep(0.5)


async def test_a_server_that_hangs_is_reported_in_time(
    server: EmbeddedCassandra, unique: str
) -> None:
    """A paused server leaves rows unwritten in time; once it resumes, the same session writes."""
    settings = settings_of(server, unique, OUTPUT_RETRIES="10")
    async with await connect(settings) as session:
        await apply(session, settings)
        writer = await CassandraWriter.create(session, settings)
        server.pause()
        try:
            began = time.monotonic()
            result = await writer.write(rows_of(1_000, 1), timeout_seconds=2.0)
            assert time.monotonic() - began < 4
            assert len(result.unwritten) == 1_000
            assert "no answer in time" in result.faults.values()
        finally:
            server.resume()
        deadline = time.monotonic() + 60
        while result.unwritten:
            assert time.monotonic() < deadline
            result = await writer.write(rows_of(1_000, 2), timeout_seconds=10.0)
        assert await stored(session, unique) == {row.word: 2 for row in rows_of(1_000, 2)}


async def test_a_node_that_comes_back_is_noticed_by_driver_or_session(
    server: EmbeddedCassandra,
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The driver's own retry, or a new session while the driver still waits, counts once."""
    caplog.set_level("INFO", "app.cassandra.nodes")
    settings = settings_of(server, unique, OUTPUT_RETRIES="1")
    async with await connect(settings) as session:
        await apply(session, settings)
    found_by_driver, found_by_session = CassandraSink(settings), CassandraSink(settings)
    async with AsyncExitStack() as stack:
        for sink in (found_by_driver, found_by_session):
            stack.push_async_callback(sink.close)
        await found_by_driver.open()
        found_by_driver._reconnected_at = math.inf
        monkeypatch.setattr(
            "app.cassandra.connecting.ExponentialReconnectionPolicy",
            lambda *_, **__: ConstantReconnectionPolicy(3_600, max_attempts=None),
        )
        await found_by_session.open()
        await asyncio.to_thread(server.kill)
        for sink in (found_by_driver, found_by_session):
            while sink.nodes.count() != (0, 1):
                await sink.write(rows_of(10, 1))
            assert sink.nodes.none_up_seconds() > 0
        await asyncio.to_thread(server.start)
        deadline = time.monotonic() + 90
        for sink in (found_by_driver, found_by_session):
            while (await sink.write(rows_of(10, 2))).unwritten:
                assert time.monotonic() < deadline
            assert (sink.nodes.count(), sink.nodes.none_up_seconds()) == ((1, 0), 0)
    lines = [text for logger, _, text in caplog.record_tuples if logger == "app.cassandra.nodes"]
    gone, back = f"Cassandra node {server.address} is down", f"{server.address} is back"
    times = [sum(part in text for text in lines) for part in (gone, back)]
    assert times == [found_by_driver.nodes.reconnections + found_by_session.nodes.reconnections] * 2


START = 1_700_000_040_000
"""A minute of event time, ms."""


async def counted(stream: Stream, server: EmbeddedCassandra, expected: Counter[str]) -> None:
    """Return once the counts of `expected` are in Cassandra, and no others."""
    settings = settings_of(server, stream.name)
    deadline = time.monotonic() + 90
    async with await connect(settings) as session:
        while (found := await stored(session, stream.name)) != expected:
            assert time.monotonic() < deadline, found


async def test_an_outage_is_printed_measured_and_made_good(
    server: EmbeddedCassandra, stream: Stream
) -> None:
    """A worker whose Cassandra is killed logs that once, continues to count, and logs the end."""
    stream.configure(cassandra=server.address, flush_interval="200ms", output_retries=1)
    worker = stream.start()
    await stream.produce([("green tea", START)] * 100)
    await counted(stream, server, Counter(green=100, tea=100))
    before = len(worker.output)

    def log() -> str:
        return worker.output[before:]

    def logged(line: str) -> bool:
        return line in log()

    def measures(line: str) -> bool:
        return line in (worker.get("/metrics")[1] or "no answer in time")

    def wait(condition: Callable[[], object]) -> Any:
        return asyncio.to_thread(worker.wait_until, condition)

    await asyncio.to_thread(server.kill)
    await stream.produce([("black tea", START)] * 50)
    await wait(lambda: logged(f"Cassandra node {server.address} is down"))
    await wait(lambda: re.search(r"Cassandra did not acknowledge [12] rows \(\S", log()))
    await wait(lambda: measures('cassandra_nodes{state="down"} 1.0'))
    await wait(lambda: measures("wordcount_rows_waiting 2.0"))
    await wait(lambda: measures('wordcount_write_failures_total{kind="NoHostAvailable"}'))
    await asyncio.to_thread(server.start)
    await counted(stream, server, Counter(green=100, tea=150, black=50))
    await wait(lambda: logged("Cassandra has acknowledged all rows again"))
    back = f"Cassandra node {server.address} is back"
    await wait(lambda: logged(back))
    await wait(lambda: measures('cassandra_nodes{state="up"} 1.0'))
    # A machine without a moment to spare loses the node again; log and counter show that.
    await wait(lambda: measures(f"wordcount_cassandra_reconnections {log().count(back)}.0"))
    assert worker.stop() == 0
    assert log().count("did not acknowledge") == log().count("has acknowledged all") == 1
    assert "Traceback" not in log()


@pytest.mark.parametrize(
    ("dropped", "missing"),
    [("TABLE {}.words", "table {}.words"), ("KEYSPACE {}", "keyspace {}")],
    ids=["table", "keyspace"],
)
async def test_what_is_dropped_under_a_worker_is_filled_again(
    server: EmbeddedCassandra, stream: Stream, dropped: str, missing: str
) -> None:
    """The worker stops with one line and status 2; a recreated table gets every row again."""
    stream.configure(cassandra=server.address, flush_interval="200ms", top_words=5, resave="false")
    worker = stream.start()
    await stream.produce([("green tea", START)] * 100)
    await counted(stream, server, Counter(green=100, tea=100))
    async with await connect(settings_of(server, stream.name)) as session:
        await session.execute(f"DROP {dropped.format(stream.name)}", timeout_seconds=60)
    await stream.produce([("black", START)] * 50)
    assert await asyncio.to_thread(worker.wait_for_end) == 2
    assert worker.output.rstrip().rpartition("\n")[2] == (
        f"Error: writes to {stream.name}.words are refused: {missing.format(stream.name)} "
        "is missing; run: faust -A app schema --apply"
    )
    assert stream.run("schema", "--apply").returncode == 0
    stream.configure(resave="true").start()
    await counted(stream, server, Counter(green=100, tea=100, black=50))


@pytest.fixture(scope="module")
def slow_cassandra() -> Iterator[EmbeddedCassandra]:
    """A server that takes no more than 50 requests a second: a busy client sends more, too."""
    limits = {
        "native_transport_rate_limiting_enabled": True,
        "native_transport_max_requests_per_second": 50,
    }
    with EmbeddedCassandra(settings=limits, timeout=300.0) as server:
        yield server


@pytest.mark.parametrize("refuses", [False, True])
async def test_an_overloaded_server_is_given_time(
    slow_cassandra: EmbeddedCassandra,
    unique: str,
    refuses: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether it reads more slowly, as it does by default, or refuses: every row is written."""
    settings = settings_of(slow_cassandra, unique, OUTPUT_BATCH_ROWS="1", OUTPUT_RETRIES="30")
    if refuses:

        def startup(cqlversion: str, options: dict[str, str]) -> StartupMessage:
            return StartupMessage(cqlversion, {**options, "THROW_ON_OVERLOAD": "1"})

        monkeypatch.setattr("cassandra.connection.StartupMessage", startup)
    async with await connect(settings) as session:
        await apply(session, settings)
        events = WriteEvents()
        writer = await CassandraWriter.create(session, settings, events)
        began = time.monotonic()
        result = await writer.write(rows_of(150, 1))
        elapsed_seconds = time.monotonic() - began
        assert not result.unwritten
        assert (events.failures["Overloaded"] > 0) == refuses, events.failures
        assert ("breached global limit" in result.faults.get("Overloaded", "")) == refuses
        assert elapsed_seconds > 1
        await asyncio.sleep(1)  # the limit is on reading, too
        assert len(await stored(session, unique)) == 150
