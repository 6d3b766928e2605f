"""The protocol of a table for the writer: encoding, identity and grouping of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from app.cassandra.session import CassandraSession

__all__ = ["Target"]


class Target(Protocol):
    """A table to write to; its rows have a `word` and a `timestamp_us`."""

    @property
    def name(self) -> str:
        """Keyspace and table, quoted for CQL."""

    @property
    def statements(self) -> tuple[str, ...]:
        """The CQL statements; each row is the values of one of them."""

    @property
    def identity(self) -> Callable[[Any], Hashable]:
        """A function of a row; equal results mean the same row of the table."""

    @property
    def neighbours(self) -> Callable[[Any], Hashable] | None:
        """A function of a row, equal for rows of one partition; None if they are adjacent."""

    def which(self, row: Any) -> int:
        """Index of the row's statement."""

    def encode(self, row: Any, now_ms: int) -> list[Any]:
        """The values of a row, written at `now_ms`. Raises CodecError naming word and column."""

    def routing_key(self, values: list[Any]) -> bytes:
        """The bytes of the partition key."""

    def size(self, values: list[Any]) -> int:
        """Bytes of a row in a batch: at least what Cassandra counts against its threshold."""

    def grouping(self, session: CassandraSession) -> Callable[[Any, bytes], Hashable]:
        """A function of row and routing key; rows with equal results may share a batch."""

    async def check(self, session: CassandraSession) -> None:
        """Raise ConfigurationError if the table is gone or does not fit any more."""
