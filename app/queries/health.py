"""Whether this worker does its work (ready), and whether it can make progress at all (live).

Ready: the tasks work, the broker has answered lately, and Cassandra has taken the flushed rows. A
worker that recovers, rebalances, waits for a server or stops is not ready; that passes by itself.

Live: the event loop runs, as the answer itself shows, and no task is stuck. A task is stuck if for
a minute it has had work without committing any, while the broker answers and no flush waits for
Cassandra. Its work is blocks that it holds, or records that the consumer does not fetch for it. A
worker that is not live should be killed: other workers take over its partitions, and no line counts
twice.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.queries.local import Lag
    from app.queries.membership import Membership
    from app.queries.stall_detector import StallDetector
    from app.queries.worker_view import WorkerView

__all__ = ["Health"]

STUCK_SECONDS = 60.0
"""How long a task may have work without committing any."""

SEEN_SECONDS = 15.0
"""How long the broker may be silent, and all nodes of Cassandra down, for a ready worker."""

UNFLUSHED_SECONDS = 60.0
"""How long a changed row may wait for Cassandra, beyond the flush interval."""


class Health:
    """The reasons why this worker is not ready or not live; an empty list means that it is."""

    def __init__(
        self,
        worker: WorkerView,
        membership: Membership,
        stall_detector: StallDetector,
    ) -> None:
        self._worker = worker
        self._membership = membership
        self._stall_detector = stall_detector
        self._max_unflushed_seconds = UNFLUSHED_SECONDS + worker.settings.flush_interval_ms / 1000

    @property
    def state(self) -> str:
        """The state: working, stopping, failed, starting, rebalancing or recovering."""
        worker = self._worker
        if worker.failure is not None:
            return "failed"
        if worker.stopping:
            return "stopping"
        if self._working():
            return "working"
        if worker.recovering:
            return "recovering"
        return "rebalancing" if worker.rebalances else "starting"

    def not_ready(self) -> list[str]:
        """Reasons why the worker does not do its work now."""
        state = self.state
        reasons = [] if state == "working" else [f"the worker is {state}"]
        if state == "failed":
            reasons = [f"the worker has failed: {self._worker.failure}"]
        if not self._broker_seen():
            reasons.append(f"no broker has answered for {SEEN_SECONDS:.0f} s")
        if (away := self._worker.cassandra_down_seconds()) > SEEN_SECONDS:
            reasons.append(f"no node of Cassandra has been up for {away:.0f} s")
        if (age := self.unflushed_seconds()) > self._max_unflushed_seconds:
            reasons.append(f"Cassandra has not taken changed rows for {age:.0f} s")
        return reasons

    def not_live(self) -> list[str]:
        """Reasons why the worker will not continue by itself."""
        if self._worker.failure is not None:
            return [f"the worker has failed: {self._worker.failure}"]
        return [
            f"{task} has committed nothing for {STUCK_SECONDS:.0f} s"
            for task in self._stall_detector.stuck(STUCK_SECONDS)
        ]

    def observe(self, lags: Iterable[Lag] = ()) -> None:
        """Observe the positions of the tasks and their `lags`; call it every few seconds."""
        # A task may wait for a server for ever: killing the worker would not bring the server back.
        waiting = not self._broker_seen() or self.unflushed_seconds() > STUCK_SECONDS / 2
        # Tasks that do not work yet receive no records, so their lag shows no stall.
        behind = {(lag.topic, lag.partition) for lag in lags if lag.records and self._working()}
        self._stall_detector.observe(behind, excused=waiting)

    def unflushed_seconds(self) -> float:
        """Age of the oldest change that Cassandra lacks; 0 if it lacks none."""
        since = [state.dirty.since for state in list(self._worker.table.owned.values())]
        oldest = min((version for version in since if version is not None), default=None)
        return 0.0 if oldest is None else max(0.0, time.time() - oldest / 1e6)

    def _working(self) -> bool:
        worker = self._worker
        return all(
            stage.generation == worker.generation and stage.working() == stage.tasks.keys()
            for stage in worker.stages
        )

    def _broker_seen(self) -> bool:
        return self._membership.seen(SEEN_SECONDS)
