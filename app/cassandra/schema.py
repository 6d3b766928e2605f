"""Creates the keyspace and the tables, and checks the tables that exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cassandra import AlreadyExists
from cassandra.metadata import protect_name

from app.cassandra.faults import DRIVER_ERRORS, describe, is_passing
from app.cassandra.table_shape import (
    APPLY,
    TOP_COLUMNS,
    WINDOW_FIELDS,
    TableColumn,
    TableShape,
    fit,
    fit_top,
)
from app.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from app.cassandra.session import CassandraSession
    from app.settings import Settings

__all__ = ["apply", "check", "check_top", "statements"]

_DEFAULT_TYPES = {"word": "text", "count": "bigint"}  # all others: timestamp


def statements(settings: Settings, replication_factor: int = 1) -> tuple[str, ...]:
    """CQL that creates the keyspace and the tables if they are missing.

    The keyspace has `replication_factor` copies in the data centre of the settings, if one is set.
    """
    keyspace, table = protect_name(settings.keyspace), protect_name(settings.table)
    datacenter = settings.cassandra_datacenter
    if datacenter is None:
        strategy = f"'SimpleStrategy', 'replication_factor': {replication_factor}"
    else:
        quoted = datacenter.replace("'", "''")
        strategy = f"'NetworkTopologyStrategy', '{quoted}': {replication_factor}"
    columns = dict(settings.columns)
    lines = [
        f"{protect_name(column)} {_DEFAULT_TYPES.get(field, 'timestamp')}"
        for field, column in settings.columns
    ]
    window = next((columns[field] for field in WINDOW_FIELDS if field in columns), None)
    key = [columns["word"]] if window is None else [columns["word"], window]
    lines.append(f"PRIMARY KEY ({', '.join(map(protect_name, key))})")
    order = f" WITH CLUSTERING ORDER BY ({protect_name(window)} DESC)" if window else ""
    made = (
        f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {{'class': {strategy}}}",
        f"CREATE TABLE IF NOT EXISTS {keyspace}.{table} ({', '.join(lines)}){order}",
    )
    if not settings.top_words:
        return made
    top_table = protect_name(settings.top_table)
    top = ", ".join(f"{name} {kind}" for name, (kind, _) in TOP_COLUMNS.items())
    columns_and_key = f"({top}, PRIMARY KEY (window_start, partition, rank))"
    return (*made, f"CREATE TABLE IF NOT EXISTS {keyspace}.{top_table} {columns_and_key}")


async def apply(
    session: CassandraSession, settings: Settings, replication_factor: int = 1
) -> list[str]:
    """Create what is missing and check the result; return one line for each keyspace and table.

    Raises ConfigurationError if an existing table does not fit or Cassandra refuses a statement,
    UnavailableError if Cassandra does not answer.
    """
    keyspace_there, columns = await _read(session, settings, settings.table)
    things = [
        (f"keyspace {settings.keyspace}", keyspace_there),
        (f"table {settings.keyspace}.{settings.table}", bool(columns)),
    ]
    if settings.top_words:
        _, columns = await _read(session, settings, settings.top_table)
        things.append((f"table {settings.keyspace}.{settings.top_table}", bool(columns)))
    done = []
    for (thing, there), statement in zip(
        things, statements(settings, replication_factor), strict=True
    ):
        if there:
            done.append(f"{thing} is there already")
            continue
        try:
            await session.execute(statement, timeout_seconds=30.0)
        except AlreadyExists:  # another process created it meanwhile
            done.append(f"{thing} is there already")
        except DRIVER_ERRORS as error:
            raise _cannot(f"create {thing}", error) from None
        else:
            done.append(f"{thing} made")
    await check(session, settings)
    if settings.top_words:
        await check_top(session, settings)
    return done


async def check(session: CassandraSession, settings: Settings) -> TableShape:
    """Return the shape of the real table, if rows of these settings fit it.

    Raises ConfigurationError that lists every misfit and the remedy in one line, UnavailableError
    if Cassandra does not answer.
    """
    return fit(settings, await _existing(session, settings, settings.table))


async def check_top(session: CassandraSession, settings: Settings) -> None:
    """Raise as `check` does if the table of the top words is missing or does not fit."""
    fit_top(settings, await _existing(session, settings, settings.top_table))


async def _existing(session: CassandraSession, settings: Settings, table: str) -> list[TableColumn]:
    """The columns of a table. Raises ConfigurationError if it is missing."""
    keyspace_there, columns = await _read(session, settings, table)
    if not keyspace_there:
        raise ConfigurationError(f"keyspace {settings.keyspace} is missing; {APPLY}")
    if not columns:
        raise ConfigurationError(f"table {settings.keyspace}.{table} is missing; {APPLY}")
    return columns


async def _read(
    session: CassandraSession, settings: Settings, table: str
) -> tuple[bool, list[TableColumn]]:
    """Whether the keyspace exists, and the columns of a table (none: no table)."""
    try:
        keyspaces = await session.execute(
            "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = %s",
            (settings.keyspace,),
        )
        rows = await session.execute(
            "SELECT column_name, type, kind, position FROM system_schema.columns "
            "WHERE keyspace_name = %s AND table_name = %s",
            (settings.keyspace, table),
        )
    except DRIVER_ERRORS as error:
        raise _cannot("read the schema", error) from None
    return bool(keyspaces), [TableColumn(r.column_name, r.type, r.kind, r.position) for r in rows]


def _cannot(action: str, error: Exception) -> ConfigurationError | UnavailableError:
    if is_passing(error):
        return UnavailableError(f"Cassandra can't {action} now: {describe(error)}; retry later")
    return ConfigurationError(f"Cassandra refuses to {action}: {describe(error)}")
