"""Owns the session and the writers of the tables: opened before counting starts, closed after."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from app.cassandra.connecting import connect
from app.cassandra.nodes import Nodes
from app.cassandra.writer import CassandraWriter, Row
from app.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.cassandra.results import Observer, WriteResult
    from app.cassandra.session import CassandraSession
    from app.cassandra.top import TopRow
    from app.settings import Settings

__all__ = ["CassandraSink"]

logger = logging.getLogger(__name__)

RECONNECT_SECONDS = 10.0
"""Minimum time between new sessions during an outage."""

RECONNECT_TIMEOUT_SECONDS = 5.0
"""Maximum time to open such a session."""


class CassandraSink:
    """The session and the writers of the tables, and the `nodes` that the driver sees."""

    def __init__(self, settings: Settings, observer: Observer | None = None) -> None:
        self.nodes = Nodes()
        self._settings = settings
        self._observer = observer
        self._reconnected_at = 0.0
        self._session: CassandraSession | None = None
        self._writer: CassandraWriter | None = None
        self._top_writer: CassandraWriter | None = None

    async def open(self) -> None:
        """Connect and check the tables. Raises UnavailableError or ConfigurationError."""
        await self._use(await connect(self._settings))

    async def write(
        self, rows: Sequence[Row], *, timeout_seconds: float | None = None
    ) -> WriteResult:
        """Upsert rows; see CassandraWriter.write."""
        result = await _opened(self._writer).write(rows, timeout_seconds=timeout_seconds)
        # Look for nodes after each write: the driver sends no event for some changes. A new session
        # helps only if nothing was written and no node is up.
        up, _ = self.nodes.count()
        if result.unwritten and not result.rows and not up:
            await self._reconnect()
        return result

    async def write_top(
        self, rows: Sequence[TopRow], *, timeout_seconds: float | None = None
    ) -> WriteResult:
        """Upsert ranks of top words; see CassandraWriter.write."""
        return await _opened(self._top_writer).write(rows, timeout_seconds=timeout_seconds)

    async def _use(self, session: CassandraSession) -> None:
        """Use this session for writes from now on, if its tables fit."""
        try:
            writer = await CassandraWriter.create(session, self._settings, self._observer)
            top_writer = await writer.create_top() if self._settings.top_words else None
        except BaseException:
            await session.close()
            raise
        old, self._session = self._session, session
        self._writer, self._top_writer = writer, top_writer
        self.nodes.watch(session)
        if old is not None:
            await old.close()

    async def _reconnect(self) -> None:
        """Open a new session: the driver never retries a node that has refused the user.

        Raises ConfigurationError if Cassandra answers and refuses the user or the certificates.
        """
        now = time.monotonic()
        if now < self._reconnected_at + RECONNECT_SECONDS:
            return
        self._reconnected_at = now
        try:
            await self._use(
                await connect(self._settings, timeout_seconds=RECONNECT_TIMEOUT_SECONDS)
            )
        except UnavailableError as error:
            logger.debug("%s", error)

    async def close(self) -> None:
        """Disconnect."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _opened(writer: CassandraWriter | None) -> CassandraWriter:
    if writer is None:
        raise RuntimeError("the sink is not open")
    return writer
