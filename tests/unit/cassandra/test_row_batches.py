"""The rows of a write in order, encoded, and in batches."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from cassandra.metadata import Metadata

from app.cassandra.row_batches import batches, newest, ordered_by_partition
from app.cassandra.rows import Row, RowEncoder
from app.cassandra.session import CassandraSession
from app.cassandra.table_shape import TableColumn, fit
from app.settings import Settings

SETTINGS = Settings.read({"WORDCOUNT_OUTPUT_BATCH_ROWS": "2"})
TARGET = RowEncoder(
    SETTINGS,
    fit(
        SETTINGS,
        [
            TableColumn("word", "text", "partition_key", 0),
            TableColumn("window_start", "timestamp", "clustering", 0),
            TableColumn("count", "int", "regular", -1),
        ],
    ),
)


def row(word: str, start_ms: int = 0, count: int = 1, timestamp_us: int = 1) -> Row:
    return Row(word, start_ms, start_ms + 60_000, count, timestamp_us)


async def test_the_newest_row_stays_and_the_others_are_counted() -> None:
    """The timestamp decides; of equal timestamps the last row stays, in the place of the first."""
    rows = [row("tea", count=1, timestamp_us=5), row("milk", count=2), row("milk", count=3)]
    found, superseded = await newest(TARGET, [*rows, row("tea", count=9, timestamp_us=4)])
    assert list(found.values()) == [rows[0], rows[2]]
    assert superseded == 2


async def test_rows_of_a_partition_become_adjacent() -> None:
    """Partitions keep the order of their first rows, and the rows of each keep their order."""
    rows = [row(word, start_ms) for start_ms in (0, 60_000) for word in ("tea", "milk")]
    ordered = await ordered_by_partition(TARGET, rows)
    assert ordered == [rows[0], rows[2], rows[1], rows[3]]


def test_a_row_that_its_columns_cannot_hold_is_left_out() -> None:
    """The caller gets the row and the reason; the batches have all other rows."""
    session = CassandraSession(SimpleNamespace(metadata=Metadata()), None)
    refused: list[tuple[Any, str]] = []
    rows = [row("tea"), row("the", count=2**31), row("milk"), row("soy")]
    found = batches(
        session, SETTINGS, TARGET, ["INSERT"], rows, lambda row, why: refused.append((row, why))
    )
    assert [[item.row for item in items or ()] for items in found] == [
        [rows[0], rows[2]],
        [rows[3]],
    ]
    assert [row for row, _ in refused] == [rows[1]]
    assert "word 'the': count 2147483648 does not fit int" in refused[0][1]


def test_other_tasks_get_a_turn_between_rows() -> None:
    """None stands between batches after every 500 rows."""
    session = CassandraSession(SimpleNamespace(metadata=Metadata()), None)
    rows = [row(f"word{n}") for n in range(1000)]
    found = list(batches(session, SETTINGS, TARGET, ["INSERT"], rows, lambda *_: None))
    assert found.count(None) == 2
    assert sum(len(items) for items in found if items) == 1000
