"""Lines and words per second over all workers, summed by second.

Each worker keeps its own rates (app/queries/rates.py). This worker fetches from each other worker
the seconds that it does not know yet, so one request a second and worker is enough for any number
of pages.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from app.queries.merge import NotServingError
from app.queries.rates import KEPT_SECONDS, Rate, sum_rates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.queries.peers import Peers
    from app.queries.rates import RateHistory

__all__ = ["SETTLED_SECONDS", "WorkerRates"]

SETTLED_SECONDS = 2
"""Age of a second at which the rates of all workers for it are known."""

FRESH_SECONDS = 0.5
"""How long the rates of the other workers are reused before they are fetched again."""


class WorkerRates:
    """The rates of all workers; `own` is the history of this one."""

    def __init__(self, application_id: str, own: RateHistory, peers: Peers) -> None:
        self._id = application_id
        self._own = own
        self._peers = peers
        self._by_url: dict[str, dict[int, Rate]] = {}
        self._refreshing = asyncio.Lock()
        self._refreshed_at = float("-inf")

    async def refresh(self) -> None:
        """Fetch the rates that the other workers have counted since the last refresh."""
        # A hundred pages that reconnect at once cause one refresh.
        async with self._refreshing:
            if time.monotonic() - self._refreshed_at > FRESH_SECONDS:
                await self._fetch_all()
                self._refreshed_at = time.monotonic()

    def since(self, second: int) -> list[tuple[int, float, float]]:
        """(second, lines, words) of each settled second after `second`, oldest first."""
        until = int(time.time()) - SETTLED_SECONDS
        settled = (
            [rate for each, rate in rates.items() if second < each <= until]
            for rates in self._by_url.values()
        )
        return [
            (each, round(lines, 1), round(words, 1)) for each, lines, words in sum_rates(settled)
        ]

    async def _fetch_all(self) -> None:
        own_url, urls = self._peers.own_url, self._peers.others()
        self._keep(own_url, self._own.since(self._newest(own_url)))
        fetched = await asyncio.gather(*map(self._fetch, urls))
        for url, rates in zip(urls, fetched, strict=True):
            self._keep(url, rates)

    async def _fetch(self, url: str) -> list[Rate]:
        try:
            query = {"since": str(self._newest(url))}
            answer = await self._peers.ask(url, "api/local/rates", query)
        except NotServingError:
            return []  # the status of the workers reports the reason
        if answer["id"] != self._id:
            return []
        return [Rate(*rate) for rate in answer["rates"]]

    def _newest(self, url: str) -> int:
        return max(self._by_url.get(url, ()), default=0)

    def _keep(self, url: str, rates: Sequence[Rate]) -> None:
        oldest = int(time.time()) - KEPT_SECONDS
        known = {**self._by_url.get(url, {}), **{rate.second: rate for rate in rates}}
        self._by_url[url] = {second: rate for second, rate in known.items() if second > oldest}
        if not self._by_url[url]:
            del self._by_url[url]
