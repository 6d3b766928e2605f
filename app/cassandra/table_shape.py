"""Compares the columns of real tables with the settings; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cassandra.metadata import protect_name

from app.cassandra.columns import ACCEPTED, DAY_MS, codec
from app.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.settings import Settings

__all__ = ["TOP_COLUMNS", "WINDOW_FIELDS", "TableColumn", "TableShape", "fit", "fit_top"]

APPLY = "run: faust -A app schema --apply"
"""The remedy for a table that is missing."""

MAX_TTL_SECONDS = 630_720_000
"""Maximum time to live of a row in Cassandra: 20 years."""

WINDOW_FIELDS = ("window_start", "window_end")

TOP_COLUMNS = {
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


def fit(settings: Settings, columns: Iterable[TableColumn]) -> TableShape:
    """Return the shape of the table that has these columns, if rows of the settings fit it.

    Raises ConfigurationError that lists every misfit and the remedy in one line.
    """
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
            f"the table or WORDCOUNT_COLUMNS, or name another WORDCOUNT_TABLE and {APPLY}"
        )
    return TableShape(
        settings.keyspace,
        settings.table,
        tuple((field, by_name[mapping[field]]) for field, _ in settings.columns),
        partition_key,
        clustering,
    )


def fit_top(settings: Settings, columns: Iterable[TableColumn]) -> None:
    """Raise ConfigurationError if the table of the top words must not have these columns."""
    by_name = {column.name: column for column in columns}
    wrong = [
        f"column {name} must be {kind}{' in' if role != 'regular' else ' outside'} the primary key"
        for name, (kind, role) in TOP_COLUMNS.items()
        if name not in by_name or (by_name[name].type, by_name[name].kind) != (kind, role)
    ]
    wrong += [
        f"column {name} is in the primary key and is not written"
        for name, column in by_name.items()
        if name not in TOP_COLUMNS and column.kind in ("partition_key", "clustering")
    ]
    if wrong:
        raise ConfigurationError(
            f"table {settings.keyspace}.{settings.top_table} does not fit: {'; '.join(wrong)}; "
            f"name another WORDCOUNT_TOP_TABLE and {APPLY}"
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
    # The key must be equal for two writes of one row, and different for two rows. A column that is
    # not written has no value, and Cassandra refuses a key without one.
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
    windows = [name for name in key if written.get(name) in WINDOW_FIELDS]
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
