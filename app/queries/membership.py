"""Whether the broker is there, and whether this worker may have been given up by the group.

A worker that was paused, or cut off, for longer than the session timeout does not know at first
that others own its partitions by now: what it holds is old, and it must not speak for them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Membership"]


class Membership:
    """When the broker has answered. All times are in seconds.

    `session` is the group's session timeout, `heartbeat` the time between two heartbeats.
    """

    def __init__(
        self, session: float, heartbeat: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        # A gap shorter than this can't have cost the membership: heartbeats came before it.
        self._gap = max(0.0, session - heartbeat)
        self._heartbeat = heartbeat
        self._clock = clock
        self._last: float | None = None
        self._resumed = float("-inf")

    def answered(self) -> None:
        """Take note that the broker has answered; call it several times a session timeout."""
        now = self._clock()
        if self._last is not None and now - self._last > self._gap:
            self._resumed = now
        self._last = now

    def seen(self, seconds: float) -> bool:
        """Whether the broker has answered within the last `seconds`."""
        return self._last is not None and self._clock() - self._last <= seconds

    def is_member(self) -> bool:
        """Whether this worker can be sure that its group has not gone on without it.

        After a gap the next heartbeats tell: whoever was given up rejoins, and a rebalance begins.
        """
        return self.seen(self._gap) and self._clock() - self._resumed > 2 * self._heartbeat
