"""The writer while its Cassandra dies, hangs and comes back."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from app.cassandra.results import WriteResult
from app.cassandra.rows import Row
from app.cassandra.schema import apply
from app.cassandra.session import CassandraSession, connect
from app.cassandra.writer import CassandraWriter
from app.embedded import EmbeddedCassandra
from app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def own_cassandra() -> Iterator[EmbeddedCassandra]:
    """A server that these tests may kill.

    It syncs its commit log before it acknowledges. With the usual periodic sync a node that is
    killed forgets what it acknowledged in its last moments; other replicas then have it.
    """
    durable = {"commitlog_sync": "batch", "commitlog_sync_period": "0ms"}
    with EmbeddedCassandra(settings=durable) as server:
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
    """What a new session finds."""
    async with await connect(settings) as session:
        return await stored(session, settings.keyspace)


def rows_of(count: int, generation: int) -> list[Row]:
    return [Row(f"word{n}", 0, 60_000, generation, generation) for n in range(count)]


async def test_a_crash_and_restart_in_the_middle_of_writes_loses_nothing(
    server: EmbeddedCassandra, unique: str
) -> None:
    """Killed under load and started again: rows said to be written are there, others come back.

    What comes back is written with the next generation, as the flush does, and all is there then.
    """
    settings = settings_of(server, unique, OUTPUT_RETRIES="3")
    async with await connect(settings) as session:
        await apply(session, settings)
        writer = await CassandraWriter.create(session, settings)
        acknowledged: dict[str, int] = {}
        faults = 0
        crash: asyncio.Task[Any] | None = None
        deadline = time.monotonic() + 90
        generation, result = 0, WriteResult()
        while crash is None or not crash.done() or not result.complete:
            assert time.monotonic() < deadline
            generation += 1
            rows = rows_of(5_000, generation)
            result = await writer.write(rows)
            faults += sum(result.failures.values())
            unwritten = {row.word for row in result.unwritten}
            assert result.rows + len(unwritten) == 5_000
            acknowledged |= {row.word: row.count for row in rows if row.word not in unwritten}
            if crash is None and generation == 3:
                crash = asyncio.ensure_future(asyncio.to_thread(crash_and_restart, server))
        await crash
        assert faults > 0
        assert acknowledged == dict.fromkeys((row.word for row in rows), generation)
        assert await stored(session, unique) == acknowledged


def crash_and_restart(server: EmbeddedCassandra) -> None:
    server.kill()
    server.start()


async def test_what_was_acknowledged_before_a_crash_is_there_after_it(
    server: EmbeddedCassandra, unique: str
) -> None:
    """Nothing is said to be written that is not: what a restarted server has is at least that."""
    settings = settings_of(server, unique, OUTPUT_RETRIES="0", OUTPUT_BATCH_ROWS="5")
    async with await connect(settings) as session:
        await apply(session, settings)
        writer = await CassandraWriter.create(session, settings)
        write = asyncio.ensure_future(writer.write(rows_of(100_000, 1)))
        async with asyncio.timeout(30):
            while not await stored(session, unique):
                assert not write.done()
        await asyncio.to_thread(server.kill)
        result = await write
    assert result.rows > 0
    assert result.unwritten
    await asyncio.to_thread(server.start)
    there = await stored_once_up(settings)
    unwritten = {row.word for row in result.unwritten}
    said = {row.word for row in rows_of(100_000, 1)} - unwritten
    assert len(said) == result.rows
    assert said <= there.keys()


async def test_a_server_that_is_down_is_reported_in_time(
    server: EmbeddedCassandra, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Every row comes back after the tries, whatever their number; the log has no traceback."""
    settings = settings_of(server, unique, OUTPUT_RETRIES="4")
    async with await connect(settings) as session:
        await apply(session, settings)
        writer = await CassandraWriter.create(session, settings)
        await asyncio.to_thread(server.kill)
        began = time.monotonic()
        result = await writer.write(rows_of(20_000, 1))
        assert time.monotonic() - began < 10
        assert len(result.unwritten) == 20_000
        assert result.retries > 0
        assert result.failures
        assert result.last_fault
        began = time.monotonic()
        result = await writer.write(rows_of(20_000, 1), timeout_s=1.0)
        assert time.monotonic() - began < 3
        assert len(result.unwritten) == 20_000
    assert all(record.exc_info is None for record in caplog.records)
    assert len(caplog.records) < 20


async def test_a_server_that_hangs_is_reported_in_time(
    server: EmbeddedCassandra, unique: str
) -> None:
    """Halted with open connections: rows come back; once it goes on, the same session writes."""
    settings = settings_of(server, unique, OUTPUT_RETRIES="10")
    async with await connect(settings) as session:
        await apply(session, settings)
        writer = await CassandraWriter.create(session, settings)
        server.pause()
        try:
            began = time.monotonic()
            result = await writer.write(rows_of(1_000, 1), timeout_s=2.0)
            assert time.monotonic() - began < 4
            assert len(result.unwritten) == 1_000
        finally:
            server.resume()
        deadline = time.monotonic() + 60
        while not result.complete:
            assert time.monotonic() < deadline
            result = await writer.write(rows_of(1_000, 2), timeout_s=10.0)
        assert await stored(session, unique) == {row.word: 2 for row in rows_of(1_000, 2)}
