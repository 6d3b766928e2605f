"""The other workers of the application: who they are, and asking them over pooled connections."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from yarl import URL

from app.queries.merge import NotServingError
from app.web.access import bearer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.worker.application import Application

__all__ = ["Peers", "reason"]

DEADLINE_SECONDS = 2.0
"""How long another worker may take to answer."""


def reason(error: BaseException) -> str:
    """Why there is no answer, in a few words."""
    if isinstance(error, TimeoutError):
        return "not in time"
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number).lower() if number else str(error) or type(error).__name__


class Peers:
    """Workers of the same application, by the group's newest assignment."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._session: ClientSession | None = None

    def others(self) -> list[str]:
        """URLs of the workers that own partitions, without this one's."""
        own = str(self._app.conf.canonical_url)
        return sorted(url for url in self._owned_by_url() if url != own)

    def owner(self, partition: int) -> str | None:
        """URL of the worker that owns a partition of the table; None if that is this worker.

        Raises NotServingError where no worker owns it.
        """
        for url, partitions in self._owned_by_url().items():
            if partition in partitions:
                return None if url == str(self._app.conf.canonical_url) else url
        raise NotServingError(f"no worker owns partition {partition}")

    async def ask(self, url: str, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        """A worker's JSON answer. Raises NotServingError if there is none within the deadline."""
        target = (URL(url) / path).with_query(query)
        try:
            async with self._connected().get(target, allow_redirects=False) as response:
                answer: Any = await response.json()
        except (ClientError, OSError, TimeoutError, ValueError) as error:
            raise NotServingError(f"the worker {url} does not answer ({reason(error)})") from None
        if not isinstance(answer, dict):
            raise NotServingError(f"what answers at {url} is no worker")
        if response.status != 200:
            raise NotServingError(f"the worker {url} says: {answer.get('error', response.reason)}")
        found: dict[str, Any] = answer
        return found

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _connected(self) -> ClientSession:
        if self._session is None:
            self._session = ClientSession(
                headers=bearer(self._app.settings.token),
                timeout=ClientTimeout(total=DEADLINE_SECONDS),
                connector=TCPConnector(limit=64, limit_per_host=8),
            )
        return self._session

    def _owned_by_url(self) -> dict[str, list[int]]:
        topic = self._app.settings.changelog
        assigned = self._app.assignor.tables_metadata()
        return {url: topics[topic] for url, topics in assigned.items() if topics.get(topic)}
