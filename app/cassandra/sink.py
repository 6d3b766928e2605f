"""The table in Cassandra as a place to write to: opened before counting starts, closed after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.cassandra.session import connect
from app.cassandra.writer import CassandraWriter, Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.cassandra.results import WriteResult
    from app.cassandra.session import CassandraSession
    from app.settings import Settings

__all__ = ["CassandraSink"]


class CassandraSink:
    """Session and writer of the settings' table."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session: CassandraSession | None = None
        self._writer: CassandraWriter | None = None

    async def open(self) -> None:
        """Connect and check the table. Raises UnavailableError or ConfigurationError."""
        self._session = await connect(self._settings)
        self._writer = await CassandraWriter.create(self._session, self._settings)

    async def write(self, rows: Sequence[Row], *, timeout_s: float | None = None) -> WriteResult:
        """Upsert rows; see CassandraWriter.write."""
        if self._writer is None:
            raise RuntimeError("the sink is not open")
        return await self._writer.write(rows, timeout_s=timeout_s)

    @property
    def reachable(self) -> bool:
        """Whether a node of Cassandra is there, as far as is known."""
        return self._session is None or self._session.reachable

    async def close(self) -> None:
        """Disconnect."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
