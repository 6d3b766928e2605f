"""Creates the keyspace and the tables, and checks that existing tables fit the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cassandra import AlreadyExists
from cassandra.metadata import protect_name

from app.cassandra.columns import ACCEPTED, DAY_MS, codec
from app.cassandra.faults import DRIVER_ERRORS, describe, is_passing
from app.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.cassandra.session import CassandraSession
    from app.settings import Settings

__all__ = ["TableColumn", "TableShape", "apply", "check", "check_top", "fit", "statements"]

APPLY = "run: faust -A app schema --apply"
MAX_TTL_SECONDS = 630_720_000
"""Maximum time to live of a row in Cassandra, in seconds: 20 years."""

LAST_EXPIRY_SECONDS = (1 << 31) - 2
"""The last second since 1970 at which a row may expire, by the default of a cluster."""

_DEFAULT_TYPES = {"word": "text", "count": "bigint"}  # all others: timestamp
_WINDOW_FIELDS = ("window_start", "window_end")

_TOP = {
    "window_start": ("timestamp", "partition_key"),
    "partition": ("int", "clustering"),
    "rank": ("int", "clustering"),
    "word": ("text", "regular"),
    "count": ("bigint", "regular"),
}
"""Columns of the table of the top words, in order of its key: types and kinds."""


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of the real table: `kind` is partition_key, clustering, regular or static."""

    name: str
    type: str
    kind: str
    position: int


@dataclass(frozen=True, slots=True)
class TableShape:
    """A table that fits the settings; `written` pairs each field with its column, in order."""

    keyspace: str
    table: str
    written: tuple[tuple[str, TableColumn], ...]
    partition_key: tuple[str, ...]
    clustering: tuple[str, ...]

    @property
    def name(self) -> str:
        """Keyspace and table, quoted for CQL."""
        return f"{protect_name(self.keyspace)}.{protect_name(self.table)}"


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
    window = next((columns[field] for field in _WINDOW_FIELDS if field in columns), None)
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
    top = ", ".join(f"{name} {kind}" for name, (kind, _) in _TOP.items())
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
        except AlreadyExists:
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
    there = {c.name: c for c in await _existing(session, settings, settings.top_table)}
    wrong = [
        f"column {name} must be {kind}{' in' if role != 'regular' else ' outside'} the primary key"
        for name, (kind, role) in _TOP.items()
        if name not in there or (there[name].type, there[name].kind) != (kind, role)
    ]
    wrong += [
        f"column {name} is in the primary key and is not written"
        for name, column in there.items()
        if name not in _TOP and column.kind in ("partition_key", "clustering")
    ]
    if wrong:
        raise ConfigurationError(
            f"table {settings.keyspace}.{settings.top_table} does not fit: {'; '.join(wrong)}; "
            f"name another WORDCOUNT_TOP_TABLE and {APPLY}"
        )


async def _existing(session: CassandraSession, settings: Settings, table: str) -> list[TableColumn]:
    """The columns of a table. Raises ConfigurationError if it is missing."""
    keyspace_there, columns = await _read(session, settings, table)
    if not keyspace_there:
        raise ConfigurationError(f"keyspace {settings.keyspace} is missing; {APPLY}")
    if not columns:
        raise ConfigurationError(f"table {settings.keyspace}.{table} is missing; {APPLY}")
    return columns


def fit(settings: Settings, columns: Iterable[TableColumn]) -> TableShape:
    """Pure part of `check`: compare columns with the settings. Raises ConfigurationError."""
    by_name = {column.name: column for column in columns}
    mapping = dict(settings.columns)
    partition_key = _key(by_name.values(), "partition_key")
    clustering = _key(by_name.values(), "clustering")
    wrong = [
        *_wrong_columns(settings, by_name),
        *_wrong_key(settings, by_name, (*partition_key, *clustering)),
    ]
    ttl = settings.output_ttl
    if isinstance(ttl, int) and ttl > MAX_TTL_SECONDS * 1000:
        raise ConfigurationError("WORDCOUNT_OUTPUT_TTL: Cassandra keeps no row for over 20 years")
    if wrong:
        raise ConfigurationError(
            f"table {settings.keyspace}.{settings.table} does not fit: {'; '.join(wrong)}; change "
            "the table or WORDCOUNT_COLUMNS, or name another WORDCOUNT_TABLE and "
            f"{APPLY}"
        )
    return TableShape(
        settings.keyspace,
        settings.table,
        tuple((field, by_name[mapping[field]]) for field, _ in settings.columns),
        partition_key,
        clustering,
    )


def _key(columns: Iterable[TableColumn], kind: str) -> tuple[str, ...]:
    of_kind = sorted((c for c in columns if c.kind == kind), key=lambda c: c.position)
    return tuple(column.name for column in of_kind)


def _wrong_columns(settings: Settings, by_name: dict[str, TableColumn]) -> Iterable[str]:
    for field, name in settings.columns:
        column = by_name.get(name)
        if column is None:
            yield f"there is no column {name} for {field}"
        elif column.type == "counter":
            yield (
                f"column {name} is a counter, to which absolute counts can't be written "
                "(make it bigint)"
            )
        elif column.type == "ascii":
            yield f"column {name} is ascii, which can't hold every {field} (make it text)"
        elif codec(field, column.type) is None:
            yield (
                f"column {name} is {column.type}, which can't hold {field} "
                f"(make it {' or '.join(ACCEPTED[field])})"
            )
        elif column.kind == "static":
            yield (f"column {name} is static: all rows of a partition would share one {field}")


def _wrong_key(
    settings: Settings, by_name: dict[str, TableColumn], key: tuple[str, ...]
) -> Iterable[str]:
    written = {column: field for field, column in settings.columns}
    for name in key:
        field = written.get(name)
        if field is None:
            yield f"column {name} is in the primary key and is not written"
        elif field in ("count", "updated_at"):
            yield (
                f"column {name} is in the primary key, so every new {field} would add a row "
                "instead of replacing one"
            )
    missing = [field for field in ("word",) if dict(settings.columns)[field] not in key]
    if missing:
        yield "the word is not in the primary key, so words would overwrite each other"
    if settings.hop_ms is None:
        return
    windows = [name for name in key if written.get(name) in _WINDOW_FIELDS]
    if not windows:
        yield (
            "neither window_start nor window_end is in the primary key, so windows would overwrite "
            "each other"
        )
    elif settings.hop_ms % DAY_MS and all(by_name[name].type == "date" for name in windows):
        yield (
            f"column {windows[0]} is a date in the primary key, so windows of one day would "
            "overwrite each other (make it timestamp)"
        )


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
