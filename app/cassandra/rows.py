"""Encodes rows as the values that the INSERT of one table binds."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from cassandra.metadata import protect_name
from cassandra.query import UNSET_VALUE

from app.cassandra.columns import CodecError, codec, key_part
from app.cassandra.replicas import replica_groups
from app.cassandra.schema import check
from app.cassandra.table_shape import MAX_TTL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from app.cassandra.session import CassandraSession
    from app.cassandra.table_shape import TableShape
    from app.settings import Settings

__all__ = ["CELL_BYTES", "ROW_BYTES", "TTL_BYTES", "Row", "RowEncoder", "ttl_of_window", "using"]


class Row(NamedTuple):
    """The count of one word in one window, as it was at one moment.

    Window bounds are in ms since 1970 (UTC); `window_end_ms` is None for the endless window.
    `timestamp_us` is the moment of the count in µs: the newer one of two writes of a row wins.
    """

    word: str
    window_start_ms: int
    window_end_ms: int | None
    count: int  # type: ignore[assignment]  # hides tuple.count, which rows do not need
    timestamp_us: int


_PLACES = {"word": 0, "window_start": 1, "window_end": 2, "count": 3, "updated_at": 4}

LAST_EXPIRY_SECONDS = (1 << 31) - 2
"""The last second since 1970 at which a row may expire, by the default of a cluster."""

MAX_KEY_BYTES = 65_535
"""Maximum size of a value in a primary key, by Cassandra."""

# The size of a row in a batch as Cassandra 5 computes it, derived from the sizes that it logs:
# these constants plus the values outside the partition key. Rows of one partition count less.
ROW_BYTES = 50
CELL_BYTES = 20
"""Of each column outside the primary key."""
TTL_BYTES = 12


class RowEncoder:
    """Turns rows into the bound values of `cql`, in the order of its markers."""

    def __init__(self, settings: Settings, shape: TableShape) -> None:
        self._settings = settings
        # Everything that depends on the table alone is computed here, once: for each column the
        # field's place in a row, the encoder, the bytes for a missing value, and the name.
        self._columns: list[tuple[int, Callable[[Any], bytes], Any, str]] = []
        key = (*shape.partition_key, *shape.clustering)
        null = UNSET_VALUE if settings.output_ignore_nulls else None
        for field, column in shape.written:
            encode = codec(field, column.type)
            if encode is None:
                raise AssertionError(f"{column.type} passed the check for {field}")
            if field == "updated_at":
                encode = _of_microseconds(encode)
            missing = _KEY if column.name in key else null
            self._columns.append((_PLACES[field], encode, missing, column.name))
        names = [column.name for _, column in shape.written]
        self.name = shape.name
        self._word_place = [place for place, *_ in self._columns].index(_PLACES["word"])
        self._key_places = [names.index(name) for name in shape.partition_key]
        self._fixed_bytes = ROW_BYTES + CELL_BYTES * (len(names) - len(key))
        if settings.output_ttl is not None:
            self._fixed_bytes += TTL_BYTES
        self._stamp = None if settings.output_if_not_exists else codec("updated_at", "timestamp")
        self._ttl_of_window = settings.retention_ms if settings.output_ttl == "window" else None
        self.cql = _insert(settings, shape, names)
        self.statements = (self.cql,)
        self.identity: Callable[[Row], tuple[Any, ...]] = itemgetter(0, 1)
        # Rows arrive window by window, so the rows of a partition with several windows are not
        # adjacent.
        self.neighbours: Callable[[Row], Hashable] | None = None
        if self._key_places == [self._word_place] and len(key) > 1:
            self.neighbours = itemgetter(0)

    def encode(self, row: Row, now_ms: int) -> list[Any]:
        """The values of `row`, written at `now_ms`. Raises CodecError naming word and column."""
        values: list[Any] = []
        for place, encode, missing, column in self._columns:
            value: Any = row[place]
            try:
                values.append(missing if value is None else encode(value))
            except CodecError as error:
                raise self._misfit(row, place, column, str(error)) from None
            if values[-1] is _KEY:
                raise self._misfit(row, place, column, "is missing in the primary key")
        if len(values[self._word_place]) > MAX_KEY_BYTES:
            size = len(values[self._word_place])
            raise CodecError(
                f"word {row.word[:40]!r}… has {size} bytes, a key holds {MAX_KEY_BYTES} "
                f"(column {self._columns[self._word_place][3]} of {self.name})"
            )
        if self._stamp is not None:
            values.append(self._stamp(row.timestamp_us))
        if self._ttl_of_window is not None:
            values.append(ttl_of_window(row, now_ms, self._ttl_of_window))
        return values

    def which(self, row: Row) -> int:
        """Index of the row's statement: there is only one."""
        return 0

    def routing_key(self, values: list[Any]) -> bytes:
        """The bytes of the partition key; the driver computes the token of the row from them."""
        if len(self._key_places) == 1:
            key: bytes = values[self._key_places[0]]
            return key
        return b"".join(key_part(values[place]) for place in self._key_places)

    def size(self, values: list[Any]) -> int:
        """Bytes of a row in a batch: at least what Cassandra counts against its warn threshold.

        Cassandra excludes the partition key; this size includes it, since it is sent and stored.
        """
        # The values of the timestamp and the TTL follow those of the columns. Cassandra counts them
        # as constants, which are in `_fixed_bytes`.
        written = values[: len(self._columns)]
        try:
            return self._fixed_bytes + sum(map(len, written))
        except TypeError:  # a column without a value, which is rare
            return self._fixed_bytes + sum(len(v) for v in written if isinstance(v, bytes))

    def grouping(self, session: CassandraSession) -> Callable[[Row, bytes], Hashable]:
        """Group rows as WORDCOUNT_OUTPUT_BATCH_GROUPING_KEY requires."""
        key = self._settings.output_batch_grouping_key
        if key == "partition":
            return lambda _, routing_key: routing_key
        group_of = None
        if key == "replica_set":
            group_of = replica_groups(session, self._settings.keyspace)
        if group_of is None:
            return lambda _, __: 0
        return lambda _, routing_key: group_of(routing_key)

    async def check(self, session: CassandraSession) -> None:
        """Raise ConfigurationError if the table is gone or does not fit any more."""
        await check(session, self._settings)

    def _misfit(self, row: Row, place: int, column: str, why: str) -> CodecError:
        shown = "" if place == 0 else f" {row[place]}"
        return CodecError(
            f"word {row.word[:100]!r}: {_FIELDS[place]}{shown} {why} "
            f"(column {column} of {self.name})"
        )


_FIELDS = {place: field for field, place in _PLACES.items()}
_KEY: Any = object()  # marks a column that must have a value


def ttl_of_window(row: Any, now_ms: int, retention_ms: int) -> bytes:
    """The TTL of `row`: the seconds until its window is past retention.

    Limited to Cassandra's last expiry date, in 2038: it refuses rows that expire later.
    """
    if row.window_end_ms is None:
        raise CodecError(f"word {row.word[:100]!r}: a window without an end never expires")
    seconds_left: int = -((now_ms - row.window_end_ms - retention_ms) // 1000)
    most_seconds = min(MAX_TTL_SECONDS, LAST_EXPIRY_SECONDS - now_ms // 1000)
    return min(max(seconds_left, 1), most_seconds).to_bytes(4, "big")


def _of_microseconds(encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    return lambda moment_us: encode(moment_us // 1000)


def _insert(settings: Settings, shape: TableShape, names: list[str]) -> str:
    """The INSERT. A conditional one must not carry a timestamp: Paxos sets it."""
    parts = [
        f"INSERT INTO {shape.name} ({', '.join(map(protect_name, names))})",
        f"VALUES ({', '.join('?' * len(names))})",
    ]
    if settings.output_if_not_exists:
        parts.append("IF NOT EXISTS")
    return " ".join([*parts, *using(settings)])


def using(settings: Settings) -> list[str]:
    """The USING clause of an INSERT, if any."""
    options = [] if settings.output_if_not_exists else ["TIMESTAMP ?"]
    if settings.output_ttl == "window":
        options.append("TTL ?")
    elif settings.output_ttl is not None:
        options.append(f"TTL {max(1, -(-settings.output_ttl // 1000))}")
    return [f"USING {' AND '.join(options)}"] if options else []
