"""The check against real tables, and the command that makes them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from app.cassandra.connecting import connect
from app.cassandra.schema import apply, check
from app.errors import ConfigurationError
from app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from cassandra.cluster import Session

    from app.embedded import EmbeddedCassandra

WINDOWED = "PRIMARY KEY (word, window_start)"


@pytest.fixture
def settings_of(cassandra: EmbeddedCassandra, unique: str) -> Callable[..., Settings]:
    """Settings for a keyspace of this test's own, which need not be there."""

    def settings(**options: str) -> Settings:
        given = {f"WORDCOUNT_{name}": value for name, value in options.items()}
        where = {"WORDCOUNT_CASSANDRA": cassandra.address, "WORDCOUNT_KEYSPACE": unique}
        return Settings.read(where | given)

    return settings


async def test_what_is_missing_is_made_once(settings_of: Callable[..., Settings]) -> None:
    """The first run makes the keyspace and the table, the second finds them; both fit."""
    settings = settings_of()
    async with await connect(settings) as session:
        name = settings.keyspace
        assert await apply(session, settings) == [
            f"keyspace {name} made",
            f"table {name}.words made",
        ]
        assert await apply(session, settings) == [
            f"keyspace {name} is there already",
            f"table {name}.words is there already",
        ]
        shape = await check(session, settings)
        await session.execute(f"DROP KEYSPACE {name}")
    assert shape.partition_key == ("word",)
    assert shape.clustering == ("window_start",)
    assert [(field, column.type) for field, column in shape.written] == [
        ("word", "text"),
        ("window_start", "timestamp"),
        ("count", "bigint"),
    ]


async def test_a_data_centre_that_is_not_there_is_refused(
    settings_of: Callable[..., Settings],
) -> None:
    """Cassandra's own reason is in the line."""
    settings = settings_of()
    async with await connect(settings) as session:
        elsewhere = settings_of(CASSANDRA_DATACENTER="moon")
        with pytest.raises(ConfigurationError, match=r"refuses to create keyspace .*moon"):
            await apply(session, elsewhere)


async def test_every_accepted_spelling_is_made(settings_of: Callable[..., Settings]) -> None:
    """Quoted names, renamed columns and all fields: what is made fits."""
    settings = settings_of(
        TABLE="Order", COLUMNS="word:Word,window_start:from,window_end:to,count:Count,updated_at"
    )
    async with await connect(settings) as session:
        await apply(session, settings)
        assert (await check(session, settings)).name == f'{settings.keyspace}."Order"'
        await session.execute(f"DROP KEYSPACE {settings.keyspace}")


async def test_a_missing_keyspace_is_reported(settings_of: Callable[..., Settings]) -> None:
    """With the command that makes it."""
    settings = settings_of()
    async with await connect(settings) as session:
        with pytest.raises(
            ConfigurationError,
            match=f"^keyspace {settings.keyspace} is missing; run: faust -A app schema --apply$",
        ):
            await check(session, settings)


async def test_a_missing_table_is_reported(
    settings_of: Callable[..., Settings], keyspace: str
) -> None:
    """With the command that makes it."""
    settings = settings_of(KEYSPACE=keyspace)
    async with await connect(settings) as own:
        with pytest.raises(
            ConfigurationError,
            match=f"^table {keyspace}.words is missing; run: faust -A app schema --apply$",
        ):
            await check(own, settings)


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (f"word text, window_start timestamp, {WINDOWED}", {}, "no column count for count"),
        (
            f"word text, window_start timestamp, count counter, {WINDOWED}",
            {},
            "column count is a counter",
        ),
        (
            f"word ascii, window_start timestamp, count int, {WINDOWED}",
            {},
            "column word is ascii",
        ),
        (
            f"word text, window_start timestamp, count double, {WINDOWED}",
            {},
            "column count is double",
        ),
        (
            f"word text, window_start timeuuid, count int, {WINDOWED}",
            {},
            "column window_start is timeuuid",
        ),
        (
            "word text, bucket int, window_start text, count int, PRIMARY KEY (word, bucket)",
            {},
            "column bucket is in the primary key and is not written",
        ),
        (
            "id int, word text, window_start timestamp, count int, PRIMARY KEY (window_start)",
            {},
            "the word is not in the primary key",
        ),
        (
            "word text PRIMARY KEY, window_start timestamp, count int",
            {},
            "neither window_start nor window_end is in the primary key",
        ),
        (
            "word text, window_start timestamp, count int, PRIMARY KEY (word, window_start, count)",
            {},
            "every new count would add a row",
        ),
        (
            f"word text, window_start timestamp, count int static, {WINDOWED}",
            {},
            "column count is static",
        ),
        (f"word text, window_start date, count int, {WINDOWED}", {}, "is a date in the primary"),
        ("word text PRIMARY KEY, count frozen<list<int>>", {"WINDOW": "none"}, "frozen<list<int>>"),
    ],
)
async def test_misfits_are_named(
    settings_of: Callable[..., Settings],
    session: Session,
    keyspace: str,
    columns: str,
    options: dict[str, str],
    message: str,
) -> None:
    """Each table that rows would not fit is refused with the reason, in one line."""
    session.execute(f"CREATE TABLE {keyspace}.words ({columns})")
    settings = settings_of(KEYSPACE=keyspace, **options)
    async with await connect(settings) as own:
        with pytest.raises(ConfigurationError) as caught:
            await check(own, settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def run(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    host, port = settings.cassandra[0]
    environ = {
        **os.environ,
        "WORDCOUNT_CASSANDRA": f"{host}:{port}",
        "WORDCOUNT_KEYSPACE": settings.keyspace,
    }
    return subprocess.run(
        [sys.executable, "-m", "faust", "-A", "app", "schema", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_prints_and_makes(
    settings_of: Callable[..., Settings], session: Session
) -> None:
    """The command creates the statements that it prints, and reports each of them."""
    settings = settings_of()
    printed = run(settings, "--replication-factor", "1")
    assert printed.returncode == 0
    assert printed.stdout.count("CREATE ") == 2
    applied = run(settings, "--apply")
    assert applied.returncode == 0, applied.stderr
    assert applied.stdout.splitlines() == [
        f"keyspace {settings.keyspace} made",
        f"table {settings.keyspace}.words made",
    ]
    for statement in printed.stdout.split(";\n")[:2]:
        session.execute(statement)  # IF NOT EXISTS: valid, and nothing left to do
    session.execute(f"DROP KEYSPACE {settings.keyspace}")


def test_the_command_ends_with_one_line_when_nobody_answers(
    settings_of: Callable[..., Settings],
) -> None:
    """Status 1, no traceback."""
    settings = settings_of(CASSANDRA="127.0.0.1:1")
    failed = run(settings, "--apply")
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert "Traceback" not in failed.stderr
    assert "Error: Cassandra at 127.0.0.1:1 can't be reached" in failed.stderr
