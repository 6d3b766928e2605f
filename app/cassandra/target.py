"""What the writer must know of a table: how rows become bytes, and which of them go together."""

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
        """Keyspace and table as CQL wants them."""

    @property
    def statements(self) -> tuple[str, ...]:
        """The statements that its rows are values for."""

    @property
    def identity(self) -> Callable[[Any], Hashable]:
        """What makes a row one row of the table."""

    @property
    def neighbours(self) -> Callable[[Any], Hashable] | None:
        """What rows of one partition have in common; None where they come side by side."""

    def which(self, row: Any) -> int:
        """Index of the row's statement."""

    def encode(self, row: Any, now_ms: int) -> list[Any]:
        """The values of a row, written at `now_ms`. Raises CodecError naming word and column."""

    def routing_key(self, values: list[Any]) -> bytes:
        """The bytes of the partition key."""

    def size(self, values: list[Any]) -> int:
        """Bytes of a row in a batch: at least what Cassandra counts against its threshold."""

    def grouping(self, session: CassandraSession) -> Callable[[Any, bytes], Hashable]:
        """A function of row and routing key: rows of which it is the same may share a batch."""

    async def check(self, session: CassandraSession) -> None:
        """Raise ConfigurationError if the table is gone or does not fit any more."""
