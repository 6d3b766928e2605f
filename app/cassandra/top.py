"""Encodes the rows of the table of top words.

Each partition of the application's table writes its own top words, ranked 1, 2, …, so a reader
merges the ranks of all partitions. A list never gets shorter, so newer ranks replace older ones.
Only a longer list of other settings leaves ranks beyond the end, and a cut removes them.
"""

from __future__ import annotations

import struct
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from cassandra.metadata import protect_name

from app.cassandra.columns import CodecError
from app.cassandra.rows import CELL_BYTES, ROW_BYTES, TTL_BYTES, ttl_of_window, using
from app.cassandra.schema import check_top

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from app.cassandra.session import CassandraSession
    from app.settings import Settings

__all__ = ["TopEncoder", "TopRow"]

_LONG = struct.Struct(">q").pack
_INT = struct.Struct(">i").pack

_ROW, _CUT = 0, 1


class TopRow(NamedTuple):
    """Rank `rank` (1, 2, …) of a partition in a window; without a word: no rank from there on.

    Window bounds are in ms since 1970 (UTC), `timestamp_us` is the version of the list in µs.
    """

    window_start_ms: int
    partition: int
    rank: int
    window_end_ms: int | None
    word: str
    count: int  # type: ignore[assignment]  # hides tuple.count, which rows do not need
    timestamp_us: int


class TopEncoder:
    """Turns TopRows into the values of an INSERT, or of the DELETE of a cut."""

    identity: Callable[[TopRow], Hashable] = staticmethod(itemgetter(0, 1, 2))
    neighbours = None

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.name = f"{protect_name(settings.keyspace)}.{protect_name(settings.top_table)}"
        columns = "window_start, partition, rank, word, count"
        key = "window_start = ? AND partition = ? AND rank >= ?"
        # Names are identifiers by the settings, and quoted.
        insert = f"INSERT INTO {self.name} ({columns}) VALUES (?, ?, ?, ?, ?) "  # noqa: S608
        delete = f"DELETE FROM {self.name} USING TIMESTAMP ? WHERE {key}"  # noqa: S608
        self.statements = (insert + using(settings)[0], delete)
        self._ttl_of_window = settings.retention_ms if settings.output_ttl == "window" else None
        self._fixed_bytes = ROW_BYTES + 2 * CELL_BYTES + (TTL_BYTES if settings.output_ttl else 0)

    def which(self, row: TopRow) -> int:
        """Index of the row's statement."""
        return _ROW if row.word else _CUT

    def encode(self, row: TopRow, now_ms: int) -> list[Any]:
        """The values of `row`, written at `now_ms`. Raises CodecError if the word is not text."""
        stamp = _LONG(row.timestamp_us)
        key = [_LONG(row.window_start_ms), _INT(row.partition), _INT(row.rank)]
        if not row.word:
            return [stamp, *key]
        try:
            word = row.word.encode()
        except UnicodeEncodeError:
            raise CodecError(f"word {row.word[:100]!r} is not Unicode text") from None
        values = [*key, word, _LONG(row.count), stamp]
        if self._ttl_of_window is not None:
            values.append(ttl_of_window(row, now_ms, self._ttl_of_window))
        return values

    def routing_key(self, values: list[Any]) -> bytes:
        """The window's start, which is the table's partition key."""
        # A rank's values begin with the window's start, the four of a cut with the timestamp.
        start: bytes = values[0] if len(values) > 4 else values[1]
        return start

    def size(self, values: list[Any]) -> int:
        """Bytes of a row in a batch: at least what Cassandra counts against its threshold."""
        return self._fixed_bytes + sum(map(len, values))

    def grouping(self, session: CassandraSession) -> Callable[[TopRow, bytes], Hashable]:
        """Group rows by list: if a list fits into one batch, all its ranks appear at once."""
        return lambda row, _: (row.window_start_ms, row.partition)

    async def check(self, session: CassandraSession) -> None:
        """Raise ConfigurationError if the table is gone or does not fit any more."""
        await check_top(session, self._settings)
