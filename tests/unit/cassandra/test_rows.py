"""Rows into bound values."""

from __future__ import annotations

import pytest
from cassandra.query import UNSET_VALUE

from app.cassandra.columns import CodecError
from app.cassandra.rows import Row, RowEncoder
from app.cassandra.table_shape import TableColumn, TableShape
from app.settings import Settings

TYPES = {"word": "text", "count": "int"}
KEYS = {"word": "partition_key", "window_start": "clustering"}
ROW = Row("tea", 60_000, 120_000, 7, 1_000_000)


def encoder(key: tuple[str, ...] = ("word",), **options: str) -> RowEncoder:
    settings = Settings.read({f"WORDCOUNT_{name}": value for name, value in options.items()})
    written = tuple(
        (field, TableColumn(name, TYPES.get(field, "timestamp"), KEYS.get(field, "regular"), 0))
        for field, name in settings.columns
    )
    return RowEncoder(
        settings, TableShape("streaming_test", "words", written, key, ("window_start",))
    )


def test_every_row_carries_its_own_timestamp() -> None:
    """The INSERT binds the timestamp last, in microseconds."""
    rows = encoder()
    assert rows.cql == (
        "INSERT INTO streaming_test.words (word, window_start, count) VALUES (?, ?, ?) "
        "USING TIMESTAMP ?"
    )
    assert rows.encode(ROW, 0) == [
        b"tea",
        (60_000).to_bytes(8, "big"),
        (7).to_bytes(4, "big"),
        (1_000_000).to_bytes(8, "big"),
    ]


def test_a_fixed_ttl_is_part_of_the_statement() -> None:
    """The statement has the TTL in seconds, rounded up, and at least one."""
    assert encoder(OUTPUT_TTL="1500ms").cql.endswith("USING TIMESTAMP ? AND TTL 2")
    assert encoder(OUTPUT_TTL="1ms").cql.endswith("AND TTL 1")


@pytest.mark.parametrize(
    ("now_ms", "seconds"),
    [(120_000, 86_400), (121_500, 86_399), (10**12, 1), (-(10**15), 630_720_000)],
)
def test_a_row_can_live_as_long_as_its_window(now_ms: int, seconds: int) -> None:
    """The TTL ends with the window's retention, rounded up: 1 s at least, 20 years at most."""
    rows = encoder(OUTPUT_TTL="window")
    assert rows.cql.endswith("USING TIMESTAMP ? AND TTL ?")
    assert int.from_bytes(rows.encode(ROW, now_ms)[-1], "big") == seconds


def test_a_row_of_a_far_window_expires_when_cassandra_still_can() -> None:
    """A row of a window in 2040 expires in January 2038, since Cassandra refuses a later end."""
    now_s, in_2040_s = 1_800_000_000, 2_209_000_000
    row = ROW._replace(window_end_ms=in_2040_s * 1000)
    ttl = int.from_bytes(encoder(OUTPUT_TTL="window").encode(row, now_s * 1000)[-1], "big")
    assert now_s + ttl == 2_147_483_646


def test_a_conditional_insert_has_no_timestamp() -> None:
    """IF NOT EXISTS excludes USING TIMESTAMP, and allows a TTL."""
    rows = encoder(OUTPUT_IF_NOT_EXISTS="true", OUTPUT_TTL="1h")
    assert rows.cql.endswith("VALUES (?, ?, ?) IF NOT EXISTS USING TTL 3600")
    assert len(rows.encode(ROW, 0)) == 3


def test_names_are_quoted_if_necessary() -> None:
    """A reserved word, and a name with capitals, is quoted and not changed."""
    rows = encoder(("Word",), COLUMNS="word:Word,window_start,count:table")
    assert '("Word", window_start, "table")' in rows.cql


def test_the_time_of_update_is_that_of_the_row() -> None:
    """The value is the row's timestamp in milliseconds."""
    values = encoder(COLUMNS="word,window_start,count,updated_at").encode(ROW, 0)
    assert values[3] == (1_000).to_bytes(8, "big")


def test_no_value_is_left_alone_or_written_as_null() -> None:
    """WORDCOUNT_OUTPUT_IGNORE_NULLS decides between the two."""
    row = ROW._replace(window_end_ms=None)
    columns = "word,window_start,window_end,count"
    ignoring = encoder(COLUMNS=columns)
    values = ignoring.encode(row, 0)
    assert values[2] is UNSET_VALUE
    assert ignoring.size(ignoring.encode(ROW, 0)) - ignoring.size(values) == 8
    assert encoder(COLUMNS=columns, OUTPUT_IGNORE_NULLS="false").encode(row, 0)[2] is None


def test_a_key_without_a_value_is_refused() -> None:
    """The error names the word and the column."""
    rows = RowEncoder(
        Settings.read({"WORDCOUNT_COLUMNS": "word,window_end,count"}),
        TableShape(
            "k",
            "t",
            (
                ("word", TableColumn("word", "text", "partition_key", 0)),
                ("window_end", TableColumn("till", "timestamp", "clustering", 0)),
                ("count", TableColumn("count", "int", "regular", -1)),
            ),
            ("word",),
            ("till",),
        ),
    )
    with pytest.raises(CodecError, match=r"word 'tea': window_end None is missing .*column till"):
        rows.encode(ROW._replace(window_end_ms=None), 0)


def test_a_count_that_does_not_fit_names_its_word() -> None:
    """The error names the word, the count, the type and the column."""
    message = (
        r"word 'tea': count 2147483648 does not fit int \(column count of streaming_test.words\)"
    )
    with pytest.raises(CodecError, match=message):
        encoder().encode(ROW._replace(count=2**31), 0)


def test_the_routing_key_is_as_the_driver_computes_it() -> None:
    """A key of one column is its value; a key of several has the length of each."""
    one, two = encoder(), encoder(("word", "window_start"))
    values = one.encode(ROW, 0)
    assert one.routing_key(values) == b"tea"
    start = (60_000).to_bytes(8, "big")
    assert two.routing_key(values) == b"\x00\x03tea\x00" + b"\x00\x08" + start + b"\x00"


def test_a_row_is_measured_as_cassandra_measures_it_and_its_key() -> None:
    """A row has 50 bytes, 20 for each cell, 12 for a TTL, and its values."""
    values = encoder().encode(ROW, 0)
    assert encoder().size(values) == 50 + 20 + len(b"tea") + 8 + 4
    assert encoder(OUTPUT_TTL="1h").size(values) == 50 + 20 + 12 + len(b"tea") + 8 + 4
