"""The state of all workers, for `faust -A app status`, the page and the console."""

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
    from app.queries.worker_view import WorkerView

__all__ = ["WorkersStatus"]


class WorkersStatus:
    """The state of this worker, and of all workers that answer."""

    def __init__(
        self,
        worker: WorkerView,
        metrics: Metrics,
        health: Health,
        local: LocalCounts,
        peers: Peers,
    ) -> None:
        self._worker = worker
        self._settings = worker.settings
        self._metrics = metrics
        self._health = health
        self._local = local
        self._peers = peers

    async def own(self) -> dict[str, Any]:
        """This worker's state, its totals since it started, and its partitions.

        Lags are in records of the source topic, null if the broker does not answer.
        """
        worker, metrics = self._worker, self._metrics
        flushed = metrics.last_flush_seconds()
        return {
            "id": self._settings.id,
            "url": worker.url,
            "state": self._health.state,
            "reasons": self._health.not_ready(),
            "generation": worker.generation,
            "recovery_remaining": worker.recovery_remaining(),
            "cassandra": worker.cassandra_down_seconds() == 0,
            "kafka": worker.kafka_reachable,
            "lines": total(metrics.lines),
            "words": total(metrics.words),
            "late": total(metrics.late),
            "rejected": total(metrics.rejected),
            "last_flush": iso(int(flushed * 1000)) if flushed else None,
            "unflushed_seconds": round(self._health.unflushed_seconds(), 3),
            "partitions": await self._partitions(),
        }

    async def all(self) -> dict[str, Any]:
        """All workers that own partitions; silent ones are listed with the reason."""
        others = self._peers.others()
        requests = [self._peers.ask(url, "api/local/status", {}) for url in others]
        own, *answers = await asyncio.gather(self.own(), *requests, return_exceptions=True)
        if isinstance(own, BaseException):
            raise own
        # Unlike counts, a status is useful without some of the workers: they are listed as silent.
        workers, silent = [own], []
        for url, answer in zip(others, answers, strict=True):
            if isinstance(answer, NotServingError):
                silent.append({"url": url, "reason": str(answer)})
            elif isinstance(answer, BaseException):
                raise answer
            elif answer["id"] == self._settings.id:
                workers.append(answer)
        return {
            "id": self._settings.id,
            "partitions": self._settings.partitions,
            "workers": sorted(workers, key=lambda worker: str(worker["url"])),
            "silent": silent,
        }

    async def _partitions(self) -> list[dict[str, Any]]:
        settings = self._settings
        lags = {(lag.topic, lag.partition): lag.records for lag in await self._local.lags()}
        owned = dict(self._worker.table.owned)
        found = []
        for partition in sorted({partition for _, partition in lags} | owned.keys()):
            state = owned.get(partition)
            found.append(
                {
                    "partition": partition,
                    "lines_lag": lags.get((settings.lines, partition)),
                    "partials_lag": lags.get((settings.partials, partition)),
                    "last_checkpoint": iso(state.version // 1000)
                    if state and state.version
                    else None,
                    "rows_waiting": len(state.dirty) if state else 0,
                }
            )
        return found
