"""Finds the other workers of the application and queries them over pooled HTTP connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from yarl import URL

from app.queries.merge import NotServingError
from app.queries.requests import bearer, reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.queries.worker_view import WorkerView

__all__ = ["DEADLINE_SECONDS", "Peers"]

DEADLINE_SECONDS = 2.0
"""How long another worker may take to answer."""


class Peers:
    """The workers of the same application, from the group's newest assignment."""

    def __init__(self, worker: WorkerView) -> None:
        self._worker = worker
        self._session: ClientSession | None = None

    @property
    def own_url(self) -> str:
        """URL of this worker."""
        return self._worker.url

    def others(self) -> list[str]:
        """URLs of the other workers that own partitions."""
        owners = self._worker.partitions_by_url()
        return sorted(url for url in owners if url != self._worker.url)

    def owner(self, partition: int) -> str | None:
        """URL of the worker that owns a partition of the table; None if this worker owns it.

        Raises NotServingError if no worker owns it.
        """
        for url, partitions in self._worker.partitions_by_url().items():
            if partition in partitions:
                return None if url == self._worker.url else url
        raise NotServingError(f"no worker owns partition {partition}")

    async def ask(self, url: str, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a worker's JSON answer; raise NotServingError if none comes in time."""
        target = (URL(url) / path).with_query(query)
        try:
            # No redirects: they would carry the token to another server.
            async with self._connected().get(target, allow_redirects=False) as response:
                answer: Any = await response.json()
        except (ClientError, OSError, TimeoutError, ValueError) as error:
            raise NotServingError(f"the worker {url} does not answer ({reason(error)})") from None
        if not isinstance(answer, dict):
            raise NotServingError(f"the server at {url} is not a worker")
        if response.status != 200:
            raise NotServingError(
                f"the worker {url} answers: {answer.get('error', response.reason)}"
            )
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
                headers=bearer(self._worker.settings.token),
                timeout=ClientTimeout(total=DEADLINE_SECONDS),
                connector=TCPConnector(limit=64, limit_per_host=8),
            )
        return self._session
