"""The table in Cassandra as a place to write to: opened before counting starts, closed after it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from app.cassandra.nodes import Nodes
from app.cassandra.session import connect
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

ASK_SECONDS = 10.0
"""How often an outage is looked into."""

ASK_TIMEOUT_S = 5.0
"""How long that may take."""


class CassandraSink:
    """Session and writers of the settings' tables, and the `nodes` that the driver sees."""

    def __init__(self, settings: Settings, observer: Observer | None = None) -> None:
        self.nodes = Nodes()
        self._settings = settings
        self._observer = observer
        self._asked_at = 0.0
        self._session: CassandraSession | None = None
        self._writer: CassandraWriter | None = None
        self._top_writer: CassandraWriter | None = None

    async def open(self) -> None:
        """Connect and check the tables. Raises UnavailableError or ConfigurationError."""
        await self._use(await connect(self._settings))

    async def write(self, rows: Sequence[Row], *, timeout_s: float | None = None) -> WriteResult:
        """Upsert rows; see CassandraWriter.write."""
        result = await _opened(self._writer).write(rows, timeout_s=timeout_s)
        up, _ = self.nodes.count()
        if result.unwritten and not result.rows and not up:
            await self._look_into_outage()
        return result

    async def write_top(
        self, rows: Sequence[TopRow], *, timeout_s: float | None = None
    ) -> WriteResult:
        """Upsert ranks of top words; see CassandraWriter.write."""
        return await _opened(self._top_writer).write(rows, timeout_s=timeout_s)

    async def _use(self, session: CassandraSession) -> None:
        """Write by this session from now on, if its tables fit."""
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

    async def _look_into_outage(self) -> None:
        """Connect anew: the driver gives a node up for good once it has refused the user.

        Raises ConfigurationError when Cassandra is there and refuses the user or the certificates.
        """
        now = time.monotonic()
        if now < self._asked_at + ASK_SECONDS:
            return
        self._asked_at = now
        try:
            await self._use(await connect(self._settings, timeout_s=ASK_TIMEOUT_S))
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
