"""The statements that create the keyspace and the tables."""

from __future__ import annotations

from app.cassandra.schema import statements
from app.settings import Settings


def settings(**options: str) -> Settings:
    return Settings.read({f"WORDCOUNT_{name}": value for name, value in options.items()})


def test_the_default_table_is_the_documented_one() -> None:
    """The statements are those of the documentation, letter for letter."""
    keyspace, table = statements(settings())
    assert keyspace == (
        "CREATE KEYSPACE IF NOT EXISTS streaming_test WITH replication = "
        "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    )
    assert table == (
        "CREATE TABLE IF NOT EXISTS streaming_test.words (word text, window_start timestamp, "
        "count bigint, PRIMARY KEY (word, window_start)) "
        "WITH CLUSTERING ORDER BY (window_start DESC)"
    )


def test_running_totals_need_no_window() -> None:
    """Without windows the table is keyed by the word alone."""
    table = statements(settings(WINDOW="none", COLUMNS="word,count"))[1]
    assert table == (
        "CREATE TABLE IF NOT EXISTS streaming_test.words "
        "(word text, count bigint, PRIMARY KEY (word))"
    )


def test_a_data_centre_makes_the_keyspace_replicated_there() -> None:
    """The statement has NetworkTopologyStrategy, the number of copies, and quoted names."""
    keyspace = statements(settings(CASSANDRA_DATACENTER="o'hare", KEYSPACE="Mixed"), 3)[0]
    assert keyspace == (
        'CREATE KEYSPACE IF NOT EXISTS "Mixed" WITH replication = '
        "{'class': 'NetworkTopologyStrategy', 'o''hare': 3}"
    )


def test_the_end_of_a_window_may_be_the_key() -> None:
    """Without window_start, the key has window_end in its place."""
    table = statements(settings(COLUMNS="word:w,window_end:till,count:n,updated_at"))[1]
    assert "PRIMARY KEY (w, till)) WITH CLUSTERING ORDER BY (till DESC)" in table
    assert "updated_at timestamp" in table
