"""Columns that rows of the settings fit, and the line about columns that they do not fit."""

from __future__ import annotations

import pytest

from app.cassandra.table_shape import TOP_COLUMNS, TableColumn, TableShape, fit, fit_top
from app.errors import ConfigurationError
from app.settings import Settings

WORD = TableColumn("word", "text", "partition_key", 0)
START = TableColumn("window_start", "timestamp", "clustering", 0)
COUNT = TableColumn("count", "bigint", "regular", -1)


def settings(**options: str) -> Settings:
    return Settings.read({f"WORDCOUNT_{name}": value for name, value in options.items()})


def misfit(columns: list[TableColumn], **options: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        fit(settings(**options), columns)
    message = str(caught.value)
    assert "\n" not in message
    assert "faust -A app schema --apply" in message
    return message


def test_a_table_that_fits_is_described() -> None:
    """Fields come in the order of the settings, keys in the order of the table."""
    shape = fit(settings(), [COUNT, START, WORD, TableColumn("extra", "blob", "regular", -1)])
    assert shape == TableShape(
        "streaming_test",
        "words",
        (("word", WORD), ("window_start", START), ("count", COUNT)),
        ("word",),
        ("window_start",),
    )
    assert shape.name == "streaming_test.words"


def test_a_missing_column_is_named() -> None:
    """The error names the column and its field."""
    assert "there is no column total for count" in misfit(
        [WORD, START, COUNT], COLUMNS="word,window_start,count:total"
    )


def test_a_counter_is_refused_with_the_reason() -> None:
    """Absolute counts can't be written to counters."""
    message = misfit([WORD, START, TableColumn("count", "counter", "regular", -1)])
    assert "column count is a counter, to which absolute counts can't be written" in message


def test_an_ascii_word_is_refused_with_the_reason() -> None:
    """The error states that ascii can't hold every word."""
    message = misfit([TableColumn("word", "ascii", "partition_key", 0), START, COUNT])
    assert "column word is ascii, which can't hold every word" in message


def test_a_type_that_can_not_hold_the_field_is_named_with_those_that_can() -> None:
    """The error lists the types that can hold the field."""
    message = misfit([WORD, START, TableColumn("count", "double", "regular", -1)])
    assert "column count is double, which can't hold count (make it tinyint or" in message


def test_a_key_column_that_is_not_written_is_named() -> None:
    """Cassandra would refuse every row without a value for it."""
    message = misfit([WORD, START, COUNT, TableColumn("bucket", "int", "partition_key", 1)])
    assert "column bucket is in the primary key and is not written" in message


def test_the_word_must_be_in_the_key() -> None:
    """Otherwise words would overwrite each other."""
    message = misfit(
        [
            TableColumn("word", "text", "regular", -1),
            TableColumn("window_start", "timestamp", "partition_key", 0),
            COUNT,
        ]
    )
    assert "the word is not in the primary key" in message


def test_a_window_must_be_in_the_key() -> None:
    """Otherwise windows would overwrite each other; running totals need no window."""
    columns = [WORD, TableColumn("window_start", "timestamp", "regular", -1), COUNT]
    assert "neither window_start nor window_end is in the primary key" in misfit(columns)
    fit(settings(WINDOW="none"), columns)


def test_a_date_cannot_distinguish_minutes() -> None:
    """A date in the key fits windows of whole days only."""
    columns = [WORD, TableColumn("window_start", "date", "clustering", 0), COUNT]
    assert "is a date in the primary key" in misfit(columns)
    fit(settings(WINDOW="24h", RETENTION="7d"), columns)


@pytest.mark.parametrize("field", ["count", "updated_at"])
def test_a_changing_field_must_not_be_in_the_key(field: str) -> None:
    """A new value would add a row instead of replacing one."""
    columns = [
        WORD,
        START,
        COUNT,
        TableColumn("updated_at", "timestamp", "regular", -1),
    ]
    columns = [
        TableColumn(c.name, c.type, "clustering", 1) if c.name == field else c for c in columns
    ]
    message = misfit(columns, COLUMNS="word,window_start,count,updated_at")
    assert f"so every new {field} would add a row" in message


def test_static_columns_are_refused() -> None:
    """All windows of a word would share one count."""
    message = misfit([WORD, START, TableColumn("count", "bigint", "static", -1)])
    assert "column count is static" in message


def test_all_misfits_are_reported_at_once() -> None:
    """One line names all misfits."""
    message = misfit([WORD, TableColumn("count", "counter", "regular", -1)])
    assert "there is no column window_start" in message
    assert "counter" in message


def test_a_ttl_beyond_cassandras_limit_is_refused() -> None:
    """A TTL of more than 20 years is an error of the setting."""
    with pytest.raises(ConfigurationError, match="20 years"):
        fit(settings(OUTPUT_TTL="8000d"), [WORD, START, COUNT])


def test_the_table_of_top_words_needs_its_own_columns_and_key() -> None:
    """One line names each column that differs, and another column in the key."""
    top = settings(TOP_WORDS="20")
    columns = [TableColumn(name, kind, role, 0) for name, (kind, role) in TOP_COLUMNS.items()]
    fit_top(top, [*columns, TableColumn("extra", "blob", "regular", -1)])
    with pytest.raises(ConfigurationError) as caught:
        fit_top(
            top,
            [
                *(column for column in columns if column.name not in ("rank", "count")),
                TableColumn("count", "counter", "regular", -1),
                TableColumn("extra", "int", "clustering", 2),
            ],
        )
    assert str(caught.value) == (
        "table streaming_test.top_words does not fit: column rank must be int in the primary key; "
        "column count must be bigint outside the primary key; column extra is in the primary key "
        "and is not written; name another WORDCOUNT_TOP_TABLE and "
        "run: faust -A app schema --apply"
    )
