"""Ranks of top words into bound values."""

from __future__ import annotations

import pytest

from app.cassandra.columns import CodecError
from app.cassandra.schema import statements
from app.cassandra.top import TopEncoder, TopRow
from app.settings import Settings

ROW = TopRow(60_000, 3, 1, 120_000, "tea", 7, 1_000_000)
CUT = TopRow(60_000, 3, 11, 120_000, "", 0, 1_000_000)


def settings(**options: str) -> Settings:
    return Settings.read(
        {"WORDCOUNT_TOP_WORDS": "10"}
        | {f"WORDCOUNT_{name}": text for name, text in options.items()}
    )


def big(number: int, size: int) -> bytes:
    return number.to_bytes(size, "big")


def test_a_rank_is_an_insert_with_its_lists_version() -> None:
    """The values have the order of the markers; the window's start alone is the partition key."""
    top = TopEncoder(settings(KEYSPACE="Mixed"))
    assert top.statements[top.which(ROW)] == (
        'INSERT INTO "Mixed".top_words (window_start, partition, rank, word, count) '
        "VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?"
    )
    values = top.encode(ROW, 0)
    assert values == [
        big(60_000, 8),
        big(3, 4),
        big(1, 4),
        b"tea",
        big(7, 8),
        big(1_000_000, 8),
    ]
    assert top.routing_key(values) == big(60_000, 8)


def test_a_cut_deletes_its_rank_and_all_later_ones() -> None:
    """The DELETE has the version of the list, so a newer and longer list stays."""
    top = TopEncoder(settings())
    assert top.statements[top.which(CUT)] == (
        "DELETE FROM streaming_test.top_words USING TIMESTAMP ? "
        "WHERE window_start = ? AND partition = ? AND rank >= ?"
    )
    values = top.encode(CUT, 0)
    assert values == [big(1_000_000, 8), big(60_000, 8), big(3, 4), big(11, 4)]
    assert top.routing_key(values) == big(60_000, 8)


def test_ranks_expire_as_rows_do() -> None:
    """A rank has the fixed TTL, or that of its window."""
    assert TopEncoder(settings(OUTPUT_TTL="1h")).statements[0].endswith("AND TTL 3600")
    with_window = TopEncoder(settings(OUTPUT_TTL="window", RETENTION="1h"))
    assert with_window.statements[0].endswith("USING TIMESTAMP ? AND TTL ?")
    assert with_window.encode(ROW, 121_000)[-1] == big(3_599, 4)


def test_a_word_that_is_no_text_is_named() -> None:
    """The error names the word; nothing else is written in its place."""
    with pytest.raises(CodecError, match="is not Unicode text"):
        TopEncoder(settings()).encode(ROW._replace(word="\ud800"), 0)


def test_the_table_of_ranks_is_created_if_ranks_are_set() -> None:
    """The statement appears only with WORDCOUNT_TOP_WORDS, with the name in the settings."""
    assert len(statements(settings(TOP_WORDS="0"))) == 2
    assert statements(settings(TOP_TABLE="hourly"))[2] == (
        "CREATE TABLE IF NOT EXISTS streaming_test.hourly (window_start timestamp, partition int, "
        "rank int, word text, count bigint, PRIMARY KEY (window_start, partition, rank))"
    )
