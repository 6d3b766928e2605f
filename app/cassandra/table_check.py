"""Checks during a write whether the table is gone or does not fit any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from app.cassandra.session import CassandraSession
    from app.cassandra.target import Target

__all__ = ["TableCheck"]


class TableCheck:
    """Queries the schema at most once with a certain answer, however many requests fail."""

    def __init__(self, session: CassandraSession, target: Target) -> None:
        self._session = session
        self._target = target
        self._done = False

    async def misfit(self) -> str | None:
        """Return why the table does not fit; None if it fits, or a check is done or under way."""
        if self._done:
            return None
        self._done = True
        # Without agreement the queried node may have an older schema than the others.
        if not await self._session.schema_agreed():
            self._done = False
            return None
        try:
            await self._target.check(self._session)
        except ConfigurationError as error:
            return str(error)
        except UnavailableError:
            self._done = False
        return None
