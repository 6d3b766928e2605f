"""Whether this worker does its work (ready), and whether it ever will again (live).

Ready: the tasks work, the broker has answered lately, and Cassandra has taken what was flushed. Not
ready is a worker that recovers, rebalances, waits for a server or stops: that passes by itself.

Live: the event loop runs, as the answer itself shows, and no task has had work for a minute, blocks
that it holds or records that the consumer does not bring it, without committing any, while the
broker answers and nobody waits for Cassandra. A worker that is not alive should be killed: its
partitions go to others, and nothing is counted twice.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.queries.local import Lag
    from app.queries.membership import Membership
    from app.queries.stall_detector import StallDetector
    from app.worker.application import Application

__all__ = ["Health"]

STUCK_SECONDS = 60.0
"""How long a task may stand still with work to do."""

SEEN_SECONDS = 15.0
"""How long ago the broker may have answered last, or a node of Cassandra have been up."""

UNFLUSHED_SECONDS = 60.0
"""How long Cassandra may leave changed rows untaken, beyond the flush interval."""


class Health:
    """Reasons why the worker is not ready or not alive; no reason: it is."""

    def __init__(self, app: Application, tracker: StallDetector, contact: Membership) -> None:
        self._app = app
        self._tracker = tracker
        self._contact = contact

    @property
    def state(self) -> str:
        """In a word: working, stopping, failed, starting, rebalancing or recovering."""
        app = self._app
        if app.failure is not None:
            return "failed"
        if app.should_stop:
            return "stopping"
        if self._working():
            return "working"
        if app.in_recovery:
            return "recovering"
        return "rebalancing" if app.rebalancing_count else "starting"

    def not_ready(self) -> list[str]:
        """Why the worker does not do its work now."""
        state = self.state
        reasons = [] if state == "working" else [f"the worker is {state}"]
        if state == "failed":
            reasons = [f"the worker has failed: {self._app.failure}"]
        if not self._broker_seen():
            reasons.append(f"no broker has answered for {SEEN_SECONDS:.0f} s")
        if (away := self._app.sink.nodes.none_up_seconds()) > SEEN_SECONDS:
            reasons.append(f"no node of Cassandra has been up for {away:.0f} s")
        if (age := self.unflushed_seconds()) > self._patience():
            reasons.append(f"Cassandra has not taken changed rows for {age:.0f} s")
        return reasons

    def not_live(self) -> list[str]:
        """Why the worker will not go on by itself."""
        if self._app.failure is not None:
            return [f"the worker has failed: {self._app.failure}"]
        return [
            f"{task} has committed nothing for {STUCK_SECONDS:.0f} s"
            for task in self._tracker.stuck(STUCK_SECONDS)
        ]

    def look(self, lags: Iterable[Lag] = ()) -> None:
        """Take note of where the tasks are, and of their `lags`; call it every few seconds."""
        # To wait for a server is right, however long it takes.
        waiting = not self._broker_seen() or self.unflushed_seconds() > STUCK_SECONDS / 2
        # Nothing is brought to tasks that don't work yet.
        behind = {(lag.topic, lag.partition) for lag in lags if lag.records and self._working()}
        self._tracker.look(behind, excused=waiting)

    def unflushed_seconds(self) -> float:
        """Age of the oldest change that Cassandra lacks; 0 if it has all."""
        since = [own.dirty.since for own in list(self._app.table.owned.values())]
        oldest = min((version for version in since if version is not None), default=None)
        return 0.0 if oldest is None else max(0.0, time.time() - oldest / 1e6)

    def _working(self) -> bool:
        app = self._app
        return all(
            stage.generation == app.consumer_generation_id and stage.working() == stage.tasks.keys()
            for stage in app.stages
        )

    def _broker_seen(self) -> bool:
        return self._contact.seen(SEEN_SECONDS)

    def _patience(self) -> float:
        return UNFLUSHED_SECONDS + self._app.settings.flush_interval_ms / 1000
