"""The table in Cassandra as a place to write to: opened before counting starts, closed after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.cassandra.nodes import Nodes
from app.cassandra.session import connect
from app.cassandra.writer import CassandraWriter, Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.cassandra.results import Observer, WriteResult
    from app.cassandra.session import CassandraSession
    from app.cassandra.top import TopRow
    from app.settings import Settings

__all__ = ["CassandraSink"]


class CassandraSink:
    """Session and writers of the settings' tables, and the `nodes` that the driver sees."""

    def __init__(self, settings: Settings, observer: Observer | None = None) -> None:
        self.nodes = Nodes()
        self._settings = settings
        self._observer = observer
        self._session: CassandraSession | None = None
        self._writer: CassandraWriter | None = None
        self._top_writer: CassandraWriter | None = None

    async def open(self) -> None:
        """Connect and check the tables. Raises UnavailableError or ConfigurationError."""
        self._session = await connect(self._settings)
        self.nodes.watch(self._session)
        self._writer = await CassandraWriter.create(self._session, self._settings, self._observer)
        if self._settings.top_words:
            self._top_writer = await self._writer.create_top()

    async def write(self, rows: Sequence[Row], *, timeout_s: float | None = None) -> WriteResult:
        """Upsert rows; see CassandraWriter.write."""
        return await _opened(self._writer).write(rows, timeout_s=timeout_s)

    async def write_top(
        self, rows: Sequence[TopRow], *, timeout_s: float | None = None
    ) -> WriteResult:
        """Upsert ranks of top words; see CassandraWriter.write."""
        return await _opened(self._top_writer).write(rows, timeout_s=timeout_s)

    async def close(self) -> None:
        """Disconnect."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _opened(writer: CassandraWriter | None) -> CassandraWriter:
    if writer is None:
        raise RuntimeError("the sink is not open")
    return writer
