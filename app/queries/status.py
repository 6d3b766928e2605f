"""How this worker and the others are: for `faust -A app status`, the console and /metrics."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from app.metrics import total
from app.queries.merge import NotServingError
from app.times import iso

if TYPE_CHECKING:
    from app.metrics import Metrics
    from app.queries.health import Health
    from app.queries.local import LocalCounts
    from app.queries.peers import Peers
    from app.worker.application import Application

__all__ = ["Status"]


class Status:
    """The state of this worker, and of all workers that can be reached."""

    def __init__(
        self, app: Application, metrics: Metrics, health: Health, local: LocalCounts, peers: Peers
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._health = health
        self._local = local
        self._peers = peers

    async def own(self) -> dict[str, Any]:
        """This worker: its state, what it has done since it started, and its partitions.

        Lags are in records of the source topic, null where the broker does not tell.
        """
        app, metrics = self._app, self._metrics
        flushed = metrics.last_flush_seconds()
        return {
            "id": app.settings.id,
            "url": str(app.conf.canonical_url),
            "state": self._health.state,
            "reasons": self._health.not_ready(),
            "generation": app.consumer_generation_id,
            "recovery_remaining": app.recovery_remaining(),
            "cassandra": app.sink.nodes.none_up_seconds() == 0,
            "kafka": app.broker.reachable,
            "lines": total(metrics.lines),
            "words": total(metrics.words),
            "late": total(metrics.late),
            "rejected": total(metrics.rejected),
            "last_flush": iso(int(flushed * 1000)) if flushed else None,
            "unflushed_seconds": round(self._health.unflushed_seconds(), 3),
            "partitions": await self._partitions(),
        }

    async def all(self) -> dict[str, Any]:
        """All workers that own partitions; those that don't answer by their URL and the reason."""
        others = self._peers.others()
        asked = [self._peers.ask(url, "api/local/status", {}) for url in others]
        own, *answers = await asyncio.gather(self.own(), *asked, return_exceptions=True)
        if isinstance(own, BaseException):
            raise own
        workers, silent = [own], []
        for url, answer in zip(others, answers, strict=True):
            if isinstance(answer, NotServingError):
                silent.append({"url": url, "reason": str(answer)})
            elif isinstance(answer, BaseException):
                raise answer
            elif answer["id"] == self._app.settings.id:
                workers.append(answer)
        return {
            "id": self._app.settings.id,
            "partitions": self._app.settings.partitions,
            "workers": sorted(workers, key=lambda worker: str(worker["url"])),
            "silent": silent,
        }

    async def _partitions(self) -> list[dict[str, Any]]:
        settings = self._app.settings
        lags = {(lag.topic, lag.partition): lag.records for lag in await self._local.lags()}
        owned = dict(self._app.table.owned)
        found = []
        for partition in sorted({partition for _, partition in lags} | owned.keys()):
            own = owned.get(partition)
            found.append(
                {
                    "partition": partition,
                    "lines_lag": lags.get((settings.lines, partition)),
                    "partials_lag": lags.get((settings.partials, partition)),
                    "last_checkpoint": iso(own.version // 1000) if own and own.version else None,
                    "rows_waiting": len(own.dirty) if own else 0,
                }
            )
        return found
