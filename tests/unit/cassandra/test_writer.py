"""The writer against a fake Cassandra that fails as configured."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import AsyncMock, patch

import pytest
from cassandra import (
    InvalidRequest,
    OperationTimedOut,
    ProtocolVersion,
    Unavailable,
    WriteTimeout,
)
from cassandra.cluster import NoHostAvailable
from cassandra.metadata import Metadata
from cassandra.protocol import OverloadedErrorMessage
from cassandra.query import BatchStatement, PreparedStatement
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.backoff import Backoff
from app.cassandra import faults
from app.cassandra.rows import Row, RowEncoder
from app.cassandra.session import CassandraSession
from app.cassandra.table_shape import TableColumn, fit
from app.cassandra.writer import CassandraWriter, retry_backoff
from app.settings import Settings
from tests.write_events import WriteEvents

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.cassandra.results import Observer

COLUMNS = [
    TableColumn("word", "text", "partition_key", 0),
    TableColumn("window_start", "timestamp", "clustering", 0),
    TableColumn("count", "bigint", "regular", -1),
]
PASSING = (
    OperationTimedOut({}, None),
    WriteTimeout("late", write_type=0),
    Unavailable("too few nodes"),
    NoHostAvailable("none", {"node": ConnectionRefusedError("refused")}),
    OverloadedErrorMessage(0x1001, "overloaded", None),
)


class FakeCassandra:
    """Answers each request on the loop's next turn, with a fault where `fault` returns one."""

    def __init__(self, fault: Callable[[], BaseException | None] = lambda: None) -> None:
        self.fault = fault
        self.stored: dict[tuple[bytes, bytes], tuple[int, int]] = {}
        self.requests: list[int] = []
        self.words: list[set[bytes]] = []
        self.in_flight: list[tuple[bytes, bytes]] = []
        self.most_requests = 0
        self._under_way = 0

    def execute_async(self, statement: Any, *, timeout: float) -> Any:
        """Take a request, as the driver's session does."""
        assert timeout > 0
        if isinstance(statement, BatchStatement):
            rows = [values for _, _, values in statement._statements_and_parameters]
        else:
            rows = [statement.values]
        keys = [(values[0], values[1]) for values in rows]
        assert not set(keys) & set(self.in_flight), "a row is under way twice"
        self.requests.append(len(rows))
        self.words.append({word for word, _ in keys})
        self.in_flight += keys
        self._under_way += 1
        self.most_requests = max(self.most_requests, self._under_way)
        loop = asyncio.get_running_loop()

        def add_callbacks(good: Callable[[Any], None], bad: Callable[[Any], None]) -> None:
            loop.call_soon(self._answer, rows, keys, good, bad)

        return SimpleNamespace(add_callbacks=add_callbacks)

    def _answer(self, rows: Any, keys: Any, good: Any, bad: Any) -> None:
        self._under_way -= 1
        for key in keys:
            self.in_flight.remove(key)
        fault = self.fault()
        if fault is not None:
            bad(fault)
            return
        for (word, start), values in zip(keys, rows, strict=True):
            count, stamp = (int.from_bytes(value, "big") for value in values[2:4])
            self.stored[word, start] = max(self.stored.get((word, start), (0, 0)), (stamp, count))
        good(None)


def no_backoff() -> Backoff:
    """No waits: faults are retried at once."""
    return Backoff(first_seconds=0.0, longest_seconds=0.0)


def writer_of(
    fake: FakeCassandra, observer: Observer | None = None, **options: str
) -> CassandraWriter:
    settings = Settings.read({f"WORDCOUNT_{name}": value for name, value in options.items()})
    session = CassandraSession(SimpleNamespace(metadata=Metadata()), fake)
    prepared = PreparedStatement([], b"id", [0], "INSERT", "k", ProtocolVersion.V5, [], b"meta")
    target = RowEncoder(settings, fit(settings, COLUMNS))
    return CassandraWriter(session, settings, target, [prepared], None, observer, no_backoff)


def rows_of(count: int) -> list[Row]:
    return [Row(f"word{n}", 0, 60_000, n, 1) for n in range(count)]


@given(
    seed=st.integers(0, 2**32),
    failing=st.floats(0, 1),
    retries=st.integers(0, 3),
    rows=st.integers(0, 60),
    at_once=st.integers(1, 5),
)
@hypothesis_settings(deadline=None, max_examples=60)
def test_a_row_is_written_or_reported(
    seed: int, failing: float, retries: int, rows: int, at_once: int
) -> None:
    """After any failure acknowledged rows are stored, and each other row is returned once."""
    chance = random.Random(seed)
    fake = FakeCassandra(lambda: chance.choice(PASSING) if chance.random() < failing else None)
    events = WriteEvents()
    writer = writer_of(
        fake,
        events,
        OUTPUT_RETRIES=str(retries),
        OUTPUT_BATCH_ROWS="7",
        OUTPUT_CONCURRENT_WRITES=str(at_once),
    )
    result = asyncio.run(writer.write(rows_of(rows)))
    unwritten = {row.word for row in result.unwritten}
    stored = {word.decode() for word, _ in fake.stored}
    assert stored | unwritten == {f"word{n}" for n in range(rows)}
    assert not stored & unwritten
    assert result.rows == len(stored)
    assert result.rows + len(result.unwritten) == rows
    assert sum(events.failures.values()) + events.batches == len(fake.requests)
    assert fake.most_requests <= at_once


async def test_passing_faults_are_retried() -> None:
    """With one fault of each kind, all rows are written."""
    left = list(PASSING)
    fake = FakeCassandra(lambda: left.pop() if left else None)
    events = WriteEvents()
    result = await writer_of(fake, events).write(rows_of(10))
    assert not result.unwritten
    assert events.retries == len(PASSING)
    assert events.failures == {
        "OperationTimedOut": 1,
        "WriteTimeout": 1,
        "Unavailable": 1,
        "NoHostAvailable": 1,
        "Overloaded": 1,
    }


async def test_a_node_that_does_not_have_the_table_yet_gets_retries() -> None:
    """After a schema change nodes lag: a node without the table refuses no row permanently."""
    left = [InvalidRequest("unconfigured table words")] * 3
    fake = FakeCassandra(lambda: left.pop() if left else None)
    events = WriteEvents()
    writer = writer_of(fake, events, OUTPUT_BATCH_ROWS="4")
    with (
        patch.object(writer.session, "schema_agreed", AsyncMock(return_value=True)),
        patch.object(writer.target, "check", AsyncMock()),
    ):
        result = await writer.write(rows_of(10))
    assert (result.rows, events.retries) == (10, 3)


async def test_while_nodes_disagree_no_table_counts_as_missing() -> None:
    """The node that reports a missing table may lag itself, so the rows stay unwritten."""
    fake = FakeCassandra(lambda: InvalidRequest("keyspace streaming_test does not exist"))
    writer = writer_of(fake, OUTPUT_RETRIES="2")
    with (
        patch.object(writer.session, "schema_agreed", AsyncMock(return_value=False)),
        patch.object(writer.target, "check", AsyncMock(side_effect=AssertionError)),
    ):
        result = await writer.write(rows_of(10))
    assert len(result.unwritten) == 10


async def test_an_outage_ends_a_write_early() -> None:
    """Once all batches in flight are abandoned, the other rows are returned without an attempt."""
    fake = FakeCassandra(lambda: PASSING[0])
    writer = writer_of(
        fake, OUTPUT_RETRIES="3", OUTPUT_BATCH_ROWS="1", OUTPUT_CONCURRENT_WRITES="4"
    )
    result = await writer.write(rows_of(1000))
    assert len(result.unwritten) == 1000
    assert len(fake.requests) <= 4 * 4 + 4  # one attempt each, once the first batch is abandoned
    assert result.faults == {"OperationTimedOut": "no answer in time"}


async def test_writing_continues_when_some_batches_fail() -> None:
    """A node that is down does not stop the rows for the others."""
    number = iter(range(10_000))
    fake = FakeCassandra(lambda: PASSING[2] if next(number) % 3 == 0 else None)
    writer = writer_of(
        fake, OUTPUT_RETRIES="0", OUTPUT_BATCH_ROWS="1", OUTPUT_CONCURRENT_WRITES="4"
    )
    result = await writer.write(rows_of(300))
    assert result.rows == 200
    assert len(result.unwritten) == 100


async def test_nothing_is_sent_after_the_deadline() -> None:
    """With a deadline in the past all rows are returned as unwritten."""
    fake = FakeCassandra()
    result = await writer_of(fake).write(rows_of(10), timeout_seconds=0.0)
    assert result.unwritten == rows_of(10)
    assert fake.requests == []


async def test_the_newest_of_the_same_row_is_written() -> None:
    """The timestamp decides, then the place; the result counts the older rows."""
    fake = FakeCassandra()
    rows = [
        Row("tea", 0, 60_000, 5, 20),
        Row("tea", 0, 60_000, 3, 10),
        Row("tea", 60_000, 120_000, 1, 10),
        Row("tea", 60_000, 120_000, 2, 10),
    ]
    result = await writer_of(fake).write(rows)
    assert (result.rows, result.superseded) == (2, 2)
    assert sorted(fake.stored.values()) == [(10, 2), (20, 5)]


async def test_rows_of_a_partition_are_adjacent() -> None:
    """A batch has rows of one partition, although the rows arrive window by window."""
    fake = FakeCassandra()
    rows = [Row(f"w{n}", 60_000 * k, 60_000 * (k + 1), 1, 1) for k in range(5) for n in range(8)]
    await writer_of(fake, OUTPUT_BATCH_ROWS="5").write(rows)
    assert [len(words) for words in fake.words] == [1] * 8


async def test_an_error_of_the_application_is_not_a_fault_of_cassandra() -> None:
    """The error is raised unchanged."""
    fake = FakeCassandra(lambda: ZeroDivisionError("ours"))
    with pytest.raises(ZeroDivisionError):
        await writer_of(fake).write(rows_of(10))


async def test_the_limit_of_rows_a_second_is_kept() -> None:
    """The pauses add up over all batches but the first, across writes."""
    events = WriteEvents()
    writer = writer_of(FakeCassandra(), events, OUTPUT_THROUGHPUT="1000", OUTPUT_BATCH_ROWS="10")
    began = asyncio.get_running_loop().time()
    first = await writer.write(rows_of(60))
    first_wait_seconds = events.waited_seconds
    second = await writer.write(rows_of(60))
    seconds = asyncio.get_running_loop().time() - began
    assert first.rows == second.rows == 60
    assert 0.105 <= seconds < 1.0
    assert first_wait_seconds > 0.04


async def test_other_tasks_get_turns_during_a_write() -> None:
    """Another task gets a turn every few hundred rows."""
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count_turns())
    # Every row in a batch of its own: no batch is sent before all rows are encoded.
    writer = writer_of(
        FakeCassandra(),
        OUTPUT_BATCH_GROUPING_KEY="partition",
        OUTPUT_BATCH_GROUPING_BUFFER="100000",
    )
    await writer.write(rows_of(20_000))
    counting.cancel()
    assert turns >= 20_000 / 500


async def test_a_cancelled_write_leaves_nothing_behind() -> None:
    """The tasks of the write end with it."""
    fake = FakeCassandra(lambda: PASSING[0])
    writer = writer_of(fake, OUTPUT_RETRIES="1000", OUTPUT_BATCH_ROWS="1")
    before = asyncio.all_tasks()
    write = asyncio.ensure_future(writer.write(rows_of(100)))
    await asyncio.wait({write}, timeout=0.05)
    assert fake.requests
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    assert asyncio.all_tasks() == before


def test_waits_grow_and_differ() -> None:
    """Waits double up to 2 s, and up to half of each is random."""
    backoffs = [retry_backoff() for _ in range(50)]
    for attempt in range(1, 20):
        longest = min(2.0, 0.1 * 2 ** (attempt - 1))
        waits = {backoff.failed() for backoff in backoffs}
        assert len(waits) > 1
        assert all(longest / 2 <= wait <= longest for wait in waits)


def test_a_fault_is_described_in_one_line() -> None:
    """The line names the node and the fault."""
    assert faults.describe(PASSING[3]) == "node: refused"
    assert faults.describe(NoHostAvailable("none", {})) == "no node is up"
    assert "\n" not in faults.describe(ValueError("two\nlines"))
    assert faults.describe(cast("Any", ValueError())) == "ValueError"[: -len("Error")]
