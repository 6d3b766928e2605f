"""Whether the broker answers, and whether this worker is still a member of its consumer group.

A worker that was paused or cut off for longer than the session timeout does not know at first that
other workers own its partitions by now. Its rows are stale then, and it must not answer for them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Membership"]


class Membership:
    """Keeps the times at which the broker has answered.

    `session_seconds` is the group's session timeout, `heartbeat_seconds` the time between two
    heartbeats.
    """

    def __init__(
        self,
        session_seconds: float,
        heartbeat_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # A shorter gap cannot have cost the membership: heartbeats reached the broker before it.
        self._gap_seconds = max(0.0, session_seconds - heartbeat_seconds)
        self._heartbeat_seconds = heartbeat_seconds
        self._clock = clock
        self._answered_at: float | None = None
        self._resumed_at = float("-inf")

    def answered(self) -> None:
        """Record that the broker has answered; call it several times a session timeout."""
        now = self._clock()
        if self._answered_at is not None and now - self._answered_at > self._gap_seconds:
            self._resumed_at = now
        self._answered_at = now

    def seen(self, seconds: float) -> bool:
        """Whether the broker has answered within the last `seconds`."""
        return self._answered_at is not None and self._clock() - self._answered_at <= seconds

    def is_member(self) -> bool:
        """Whether this worker is certainly still a member of its group.

        After a gap the next heartbeats decide: a worker that the group has evicted rejoins, and a
        rebalance begins. Until two heartbeats have passed, the membership is uncertain.
        """
        since_gap = self._clock() - self._resumed_at
        return self.seen(self._gap_seconds) and since_gap > 2 * self._heartbeat_seconds
