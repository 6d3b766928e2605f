"""Ranks of top words in a real table."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from app.cassandra.connecting import connect
from app.cassandra.schema import check_top
from app.cassandra.top import TopRow
from app.errors import ConfigurationError
from app.settings import Settings

if TYPE_CHECKING:
    from cassandra.cluster import Session

    from app.cassandra.writer import CassandraWriter
    from app.embedded import EmbeddedCassandra
    from tests.integration.conftest import MakeWriter
    from tests.write_events import WriteEvents

START = int(time.time()) // 60 * 60_000
END = START + 60_000


def ranks(partition: int, version: int, *words: str, cut: bool = False) -> list[TopRow]:
    """A list of a partition: counts fall from 1000 on; `cut`: no rank may follow."""
    rows = [
        TopRow(START, partition, rank, END, word, 1001 - rank, version)
        for rank, word in enumerate(words, 1)
    ]
    if cut:
        rows.append(TopRow(START, partition, len(words) + 1, END, "", 0, version))
    return rows


@pytest.fixture
def top_writer_of(writer_of: MakeWriter) -> MakeWriter:
    """Makes a writer of ranks into a keyspace of this test's own."""

    async def make(**options: str) -> CassandraWriter:
        writer = await writer_of(**{"TOP_WORDS": "10", **options})
        return await writer.create_top()

    return make


def table(session: Session, keyspace: str, columns: str = "partition, rank, word") -> Any:
    """The rows of the window, as one query brings them."""
    query = f"SELECT {columns} FROM {keyspace}.top_words WHERE window_start = %s"
    return [tuple(row) for row in session.execute(query, [START])]


async def test_partitions_rank_side_by_side(
    top_writer_of: MakeWriter, events: WriteEvents, session: Session, keyspace: str
) -> None:
    """One query brings the ranks of all; each list goes out as one batch, so it appears at once."""
    writer = await top_writer_of()
    result = await writer.write([*ranks(0, 1, "tea", "milk"), *ranks(3, 1, "soy", cut=True)])
    assert (result.unwritten, events.batches) == ([], 2)
    assert table(session, keyspace) == [(0, 1, "tea"), (0, 2, "milk"), (3, 1, "soy")]
    assert table(session, keyspace, "count") == [(1000,), (999,), (1000,)]


async def test_a_newer_list_replaces_an_older_one_in_any_order(
    top_writer_of: MakeWriter, session: Session, keyspace: str
) -> None:
    """A paused worker's late list changes nothing; it may only fill ranks that nobody has."""
    writer = await top_writer_of()
    await writer.write(ranks(0, 2, "tea", "milk", "soy"))
    await writer.write(ranks(0, 1, "milk", "tea"))
    assert table(session, keyspace) == [(0, 1, "tea"), (0, 2, "milk"), (0, 3, "soy")]


async def test_ranks_beyond_a_shorter_list_go(
    top_writer_of: MakeWriter, session: Session, keyspace: str
) -> None:
    """Those of its version and of older ones, even if they come later; newer ones stay."""
    writer = await top_writer_of()
    await writer.write(ranks(0, 1, *"abcdef"))
    await writer.write(ranks(0, 2, "a", "b", cut=True))
    await writer.write(ranks(0, 1, *"abcdef"))
    assert table(session, keyspace) == [(0, 1, "a"), (0, 2, "b")]
    await writer.write(ranks(0, 3, *"abcd"))
    assert [rank for _, rank, _ in table(session, keyspace)] == [1, 2, 3, 4]


async def test_ranks_expire_with_their_window(
    top_writer_of: MakeWriter, session: Session, keyspace: str
) -> None:
    """As rows do."""
    writer = await top_writer_of(OUTPUT_TTL="window", RETENTION="2h")
    await writer.write(ranks(0, int(time.time() * 1e6), "tea"))
    ((left,),) = table(session, keyspace, "ttl(word)")
    wanted = END / 1000 + 7_200 - time.time()
    assert wanted - 10 <= left <= wanted + 2


async def test_a_word_too_long_for_a_key_has_its_rank(
    top_writer_of: MakeWriter, session: Session, keyspace: str
) -> None:
    """It is no key here; its batch is beyond Cassandra's limit, so it is written alone."""
    writer = await top_writer_of()
    result = await writer.write(ranks(0, 1, "a", "long" * 20_000, "b"))
    assert not result.unwritten
    assert [len(word) for _, _, word in table(session, keyspace)] == [1, 80_000, 1]


async def test_another_table_of_the_name_is_refused(
    cassandra: EmbeddedCassandra, session: Session, keyspace: str
) -> None:
    """With all that does not fit, in one line."""
    session.execute(
        f"CREATE TABLE {keyspace}.top_words (window_start timestamp, partition int, rank int, "
        "word text, count int, PRIMARY KEY (window_start, rank))"
    )
    settings = Settings.read(
        {
            "WORDCOUNT_CASSANDRA": cassandra.address,
            "WORDCOUNT_KEYSPACE": keyspace,
            "WORDCOUNT_TOP_WORDS": "10",
        }
    )
    async with await connect(settings) as own:
        with pytest.raises(ConfigurationError) as caught:
            await check_top(own, settings)
    assert str(caught.value) == (
        f"table {keyspace}.top_words does not fit: column partition must be int in the primary "
        "key; column count must be bigint outside the primary key; name another "
        "WORDCOUNT_TOP_TABLE and run: faust -A app schema --apply"
    )
