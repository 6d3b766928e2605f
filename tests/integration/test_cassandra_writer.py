"""Rows into real tables."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from app.cassandra.rows import Row
from app.cassandra.schema import apply
from app.cassandra.writer import WriteRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cassandra.cluster import Session

    from app.embedded import EmbeddedCassandra
    from tests.integration.conftest import MakeWriter
    from tests.write_events import WriteEvents

MINUTE_MS = 60_000
NOW_MS = int(time.time()) // 60 * MINUTE_MS
PAGE = {"WINDOW": "none", "COLUMNS": "word,count"}


def row(word: str, count: int, stamp_us: int = 1_000, start_ms: int = NOW_MS) -> Row:
    return Row(word, start_ms, start_ms + MINUTE_MS, count, stamp_us)


def table(session: Session, keyspace: str, columns: str = "word, window_start, count") -> Any:
    """The table's rows in order."""
    # The names are this test's own.
    return sorted(session.execute(f"SELECT {columns} FROM {keyspace}.words"))


async def test_the_default_table_holds_every_row(
    writer_of: MakeWriter, events: WriteEvents, session: Session, keyspace: str
) -> None:
    """Words of all scripts in several windows, and the result adds up."""
    words = ["tea", "naïve", "漢字", "🍵", "'; DROP TABLE words; --", "x" * 2000]
    rows = [
        row(w, n + 1, start_ms=NOW_MS + MINUTE_MS * k) for n, w in enumerate(words) for k in (0, 1)
    ]
    writer = await writer_of()
    result = await writer.write(rows)
    assert (result.rows, result.unwritten, events.retries) == (12, [], 0)
    assert events.bytes >= 4000
    found = table(session, keyspace)
    stored = {(r.word, int(r.window_start.timestamp()), r.count) for r in found}
    assert {(w, c) for w, _, c in stored} == {(r.word, r.count) for r in rows}
    assert len(stored) == 12


async def test_the_pages_own_table_works_as_it_is(
    writer_of: MakeWriter, session: Session, keyspace: str
) -> None:
    """`words (word text PRIMARY KEY, count int)` with running totals."""
    session.execute(f"CREATE TABLE {keyspace}.words (word text PRIMARY KEY, count int)")
    writer = await writer_of(**PAGE)
    result = await writer.write([Row("tea", 0, None, 3, 1), Row("milk", 0, None, 2, 1)])
    assert not result.unwritten
    assert table(session, keyspace, "word, count") == [("milk", 2), ("tea", 3)]


async def test_nothing_at_all_is_written_at_once(
    writer_of: MakeWriter, events: WriteEvents
) -> None:
    """No rows, no request."""
    result = await (await writer_of()).write([])
    assert (result.rows, events.batches, result.unwritten) == (0, 0, [])


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (("timestamp", "int"), (NOW_MS / 1000, 7)),
        (("bigint", "varint"), (NOW_MS, 7)),
        (
            ("text", "decimal"),
            (time.strftime("%Y-%m-%dT%H:%M:00.000Z", time.gmtime(NOW_MS / 1000)), 7),
        ),
        (("timestamp", "tinyint"), (NOW_MS / 1000, 7)),
        (("timestamp", "smallint"), (NOW_MS / 1000, 7)),
    ],
)
async def test_every_type_that_is_accepted_holds_its_value(
    writer_of: MakeWriter,
    session: Session,
    keyspace: str,
    types: tuple[str, str],
    expected: tuple[Any, int],
) -> None:
    """Another client reads back the counts that the writer wrote."""
    session.execute(
        f"CREATE TABLE {keyspace}.words (word text, window_start {types[0]}, count {types[1]}, "
        "updated_at text, window_end date, PRIMARY KEY (word, window_start))"
    )
    writer = await writer_of(COLUMNS="word,window_start,count,updated_at,window_end")
    assert not (await writer.write([row("tea", 7, 1_500_000)])).unwritten
    (found,) = table(session, keyspace, "*")
    start = found.window_start
    if types[0] == "timestamp":
        start = (start - type(start)(1970, 1, 1)).total_seconds()
    assert (start, int(found.count)) == expected
    assert found.updated_at == "1970-01-01T00:00:01.500Z"
    assert found.window_end.days_from_epoch == (NOW_MS + MINUTE_MS) // 86_400_000


async def test_an_older_count_that_comes_later_loses(
    writer_of: MakeWriter, session: Session, keyspace: str
) -> None:
    """A paused worker's late write changes nothing."""
    writer = await writer_of()
    await writer.write([row("tea", 5, stamp_us=2_000)])
    late = await writer.write([row("tea", 3, stamp_us=1_000)])
    assert late.rows == 1
    assert [r.count for r in table(session, keyspace, "count")] == [5]


async def test_writing_a_row_again_changes_nothing(
    writer_of: MakeWriter, session: Session, keyspace: str
) -> None:
    """Same row, same timestamp: the same table, the same write time."""
    writer = await writer_of()
    columns = "word, count, writetime(count) AS stamp"
    await writer.write([row("tea", 5, 2_000)])
    before = table(session, keyspace, columns)
    await writer.write([row("tea", 5, 2_000)] * 3)
    assert table(session, keyspace, columns) == before == [("tea", 5, 2_000)]


async def test_each_row_of_a_batch_keeps_its_own_timestamp(
    writer_of: MakeWriter, events: WriteEvents, session: Session, keyspace: str
) -> None:
    """The batch has none of its own."""
    writer = await writer_of()
    await writer.write([row(f"w{n}", n, 1_000 + n) for n in range(20)])
    assert events.batches == 1
    found = table(session, keyspace, "count, writetime(count) AS stamp")
    assert all(r.stamp == 1_000 + r.count for r in found)


async def test_a_row_can_expire(writer_of: MakeWriter, session: Session, keyspace: str) -> None:
    """After the fixed time, or with its window and the retention."""
    columns = "ttl(count) AS left"
    stamp = int(time.time() * 1e6)
    await (await writer_of(OUTPUT_TTL="1h")).write([row("tea", 1, stamp)])
    (found,) = table(session, keyspace, columns)
    assert 3_590 <= found.left <= 3_600
    with_window = await writer_of(OUTPUT_TTL="window", RETENTION="2h")
    await with_window.write([row("tea", 2, stamp + 1)])
    (found,) = table(session, keyspace, columns)
    left = (NOW_MS + MINUTE_MS) / 1000 + 7_200 - time.time()
    assert left - 10 <= found.left <= left + 2


async def test_a_row_of_a_window_long_gone_expires_at_once(
    writer_of: MakeWriter, session: Session, keyspace: str, wait_until: Callable[..., Any]
) -> None:
    """It is written with the shortest life there is, and is gone soon."""
    writer = await writer_of(OUTPUT_TTL="window")
    result = await writer.write([row("tea", 1, start_ms=0)])
    assert not result.unwritten
    await asyncio.to_thread(wait_until, lambda: not table(session, keyspace))


async def test_only_new_rows_are_written_when_asked(
    writer_of: MakeWriter, events: WriteEvents, session: Session, keyspace: str
) -> None:
    """IF NOT EXISTS: what is there stays, and is counted."""
    writer = await writer_of(OUTPUT_IF_NOT_EXISTS="true", OUTPUT_TTL="1h")
    first = await writer.write([row("tea", 1), row("milk", 1)])
    assert (first.rows, first.existing, events.batches) == (2, 0, 2)
    second = await writer.write([row("tea", 9), row("water", 9)])
    assert (second.rows, second.existing, second.unwritten) == (1, 1, [])
    found = table(session, keyspace, "word, count")
    assert sorted(found) == [("milk", 1), ("tea", 1), ("water", 9)]


@pytest.mark.parametrize("ignore", ["true", "false"])
async def test_no_value_leaves_a_column_alone_or_clears_it(
    writer_of: MakeWriter, session: Session, keyspace: str, ignore: str
) -> None:
    """WORDCOUNT_OUTPUT_IGNORE_NULLS decides between the two."""
    writer = await writer_of(
        COLUMNS="word,window_start,window_end,count", OUTPUT_IGNORE_NULLS=ignore
    )
    await writer.write([row("tea", 1, 1)])
    await writer.write([row("tea", 2, 2)._replace(window_end_ms=None)])
    (found,) = table(session, keyspace, "window_end, count")
    assert found.count == 2
    assert (found.window_end is not None) == (ignore == "true")


async def test_a_count_too_large_for_its_column_is_named(
    writer_of: MakeWriter, session: Session, keyspace: str
) -> None:
    """The others are written; the one comes back with its word in the line, not wrapped around."""
    session.execute(f"CREATE TABLE {keyspace}.words (word text PRIMARY KEY, count int)")
    writer = await writer_of(**PAGE)
    rows = [Row(w, 0, None, c, 1) for w, c in (("a", 1), ("the", 2**31), ("b", 2**31 - 1))]
    with pytest.raises(WriteRefusedError, match=r"word 'the': count 2147483648 does not fit int"):
        await writer.write(rows)
    assert table(session, keyspace, "word, count") == [("a", 1), ("b", 2**31 - 1)]


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("long" * 20_000, "word 'long.*has 80000 bytes, a key holds 65535"),
        ("", "word '': .*Key may not be empty"),
    ],
    ids=["beyond 64 KiB", "empty"],
)
async def test_a_row_that_cassandra_refuses_is_found(
    word: str, why: str, writer_of: MakeWriter, session: Session, keyspace: str
) -> None:
    """A word that is no key of Cassandra's in a batch of 200: the 199 others are written."""
    writer = await writer_of(OUTPUT_BATCH_BYTES="1MiB")
    rows = [row(f"w{n}", n) for n in range(199)]
    rows.insert(77, row(word, 1))
    with pytest.raises(WriteRefusedError, match=why) as caught:
        await writer.write(rows)
    assert caught.value.only_rows
    assert "\n" not in str(caught.value)
    assert caught.value.rows == [rows[77]]
    assert caught.value.result.unwritten == [rows[77]]
    assert caught.value.result.rows == 199
    assert len(table(session, keyspace)) == 199


async def test_a_batch_too_large_for_cassandra_is_written_in_parts(
    writer_of: MakeWriter, events: WriteEvents, session: Session, keyspace: str
) -> None:
    """Past the server's own limit the batch is split until it goes through."""
    writer = await writer_of(OUTPUT_BATCH_BYTES="1MiB")
    result = await writer.write([row(f"w{n}", n) for n in range(2_000)])
    assert not result.unwritten
    assert events.failures["InvalidRequest"] >= 1
    assert len(table(session, keyspace)) == 2_000


@pytest.mark.parametrize("key", ["none", "replica_set", "partition"])
async def test_batches_stay_below_the_servers_warning(
    writer_of: MakeWriter,
    session: Session,
    keyspace: str,
    cassandra: EmbeddedCassandra,
    key: str,
) -> None:
    """With the default size Cassandra logs no warning about any batch's size."""
    writer = await writer_of(
        OUTPUT_BATCH_GROUPING_KEY=key, OUTPUT_TTL="1h", COLUMNS="word,window_start,count,updated_at"
    )
    rows = [
        row("x" * (n % 60 + 1) + str(n // 3), n, start_ms=NOW_MS + MINUTE_MS * (n % 3))
        for n in range(5_000)
    ]
    result = await writer.write(rows)
    assert not result.unwritten
    assert len(table(session, keyspace)) == 5_000
    log = cassandra.log.read_text(encoding="utf-8")
    assert not [line for line in log.splitlines() if f"Batch for [{keyspace}" in line]


async def test_cassandra_measures_a_batch_as_the_writer_does(
    writer_of: MakeWriter,
    events: WriteEvents,
    keyspace: str,
    cassandra: EmbeddedCassandra,
    wait_until: Callable[..., Any],
) -> None:
    """The server logs the size that the writer computed, less the keys, which it omits."""
    writer = await writer_of(OUTPUT_BATCH_BYTES="40KiB", OUTPUT_TTL="1h")
    rows = [row(f"w{n:03}", n) for n in range(256)]
    await writer.write(rows)
    assert events.batches == 1
    kib = (events.bytes - sum(len(r.word) for r in rows)) / 1024
    wanted = f"Batch for [{keyspace}.words] is of size {kib:.3f}KiB"
    await asyncio.to_thread(
        wait_until, lambda: wanted in cassandra.log.read_text(encoding="utf-8"), 10
    )


async def test_a_table_that_is_dropped_is_reported(
    writer_of: MakeWriter, session: Session, keyspace: str
) -> None:
    """Under load: the write ends with the table's name and the remedy, and counts what was lost."""
    writer = await writer_of(OUTPUT_RETRIES="2")
    assert not (await writer.write([row("tea", 1)])).unwritten
    session.execute(f"DROP TABLE {keyspace}.words")
    with pytest.raises(
        WriteRefusedError, match=f"table {keyspace}.words is missing; run: faust -A app schema"
    ) as caught:
        await writer.write([row(f"w{n}", n) for n in range(2_000)])
    assert len(caught.value.result.unwritten) == 2_000
    assert caught.value.exit_status == 2


async def test_a_table_dropped_in_the_middle_of_a_write_is_reported(
    writer_of: MakeWriter, session: Session, keyspace: str
) -> None:
    """The line is the same for every request in flight, and the result holds every row."""
    writer = await writer_of(OUTPUT_RETRIES="2")
    rows = [row(f"w{n}", n) for n in range(20_000)]

    async def write_until_it_fails() -> None:
        async with asyncio.timeout(120):
            while True:
                assert (await writer.write(rows)).rows == 20_000

    writing = asyncio.ensure_future(write_until_it_fails())
    await asyncio.to_thread(session.execute, f"DROP TABLE {keyspace}.words", timeout=60)
    with pytest.raises(WriteRefusedError, match=f"table {keyspace}.words is missing") as caught:
        await writing
    assert caught.value.result.rows + len(caught.value.result.unwritten) == 20_000


async def test_a_recreated_table_is_written_to(
    writer_of: MakeWriter, session: Session, keyspace: str
) -> None:
    """Dropped and applied again, without a new writer."""
    writer = await writer_of()
    session.execute(f"DROP TABLE {keyspace}.words")
    await apply(writer.session, writer.settings)
    assert not (await writer.write([row("tea", 4)])).unwritten
    assert [r.count for r in table(session, keyspace, "count")] == [4]
