"""Composes the queries of one worker, and observes its tasks and rates while it runs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mode import Service

from app.metrics import total
from app.queries.counts import Counts
from app.queries.end_offsets import EndOffsets
from app.queries.health import Health
from app.queries.local import LocalCounts
from app.queries.peers import Peers
from app.queries.rates import RateHistory
from app.queries.stall_detector import StallDetector
from app.queries.state_metrics import StateMetrics
from app.queries.status import WorkersStatus
from app.queries.worker_rates import WorkerRates

if TYPE_CHECKING:
    from app.counting.windows import Windows
    from app.metrics import Metrics
    from app.queries.membership import Membership
    from app.queries.worker_view import WorkerView

__all__ = ["Queries"]

OBSERVE_SECONDS = 2.0
"""Time between two observations of the tasks."""

SAMPLE_SECONDS = 1.0
"""Time between two samples of the counters of lines and words."""


class Queries(Service):
    """Every query that a worker answers, by kind."""

    logger = logging.getLogger("mode.queries")  # its starts and stops are no news

    def __init__(
        self,
        worker: WorkerView,
        windows: Windows,
        membership: Membership,
        metrics: Metrics,
    ) -> None:
        super().__init__()
        settings = worker.settings
        self.application_id = settings.id
        stall_detector = StallDetector(worker.stages)
        self._end_offsets = EndOffsets(settings.broker, membership)
        self._peers = Peers(worker)
        self.local = LocalCounts(worker, membership, stall_detector, self._end_offsets)
        self.health = Health(worker, membership, stall_detector)
        self.counts = Counts(worker, windows, self.local, self._peers)
        self.status = WorkersStatus(worker, metrics, self.health, self.local, self._peers)
        self.metrics = StateMetrics(worker, metrics, self.health, self.local)
        # Overlapping windows count a word several times; the rate is of words in the text.
        overlap = (windows.window_ms or 1) / (windows.hop_ms or 1)
        self.own_rates = RateHistory(lambda: (total(metrics.lines), total(metrics.words) / overlap))
        self.rates = WorkerRates(settings.id, self.own_rates, self._peers)

    @Service.timer(OBSERVE_SECONDS)
    async def _observe(self) -> None:
        self.health.observe(await self.local.lags())

    @Service.timer(SAMPLE_SECONDS)
    async def _sample(self) -> None:
        self.own_rates.sample()

    async def on_stop(self) -> None:
        """Close the connections to the other workers and to the broker."""
        await self._peers.close()
        await self._end_offsets.close()
