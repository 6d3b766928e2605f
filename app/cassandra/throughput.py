"""The limit of rows per second, shared by all writes of a worker."""

from __future__ import annotations

import time

__all__ = ["Throughput"]


class Throughput:
    """Delays rows so that at most `rate` a second are sent; None: no limit."""

    def __init__(self, rate: int | None) -> None:
        self._rate = rate
        self._free_at = 0.0

    def wait_seconds(self, rows: int) -> float:
        """Seconds until `rows` more rows may be sent; counts them as sent."""
        if self._rate is None:
            return 0.0
        # Rows take their turns one after the other: `_free_at` is the end of the last turn. Idle
        # time is not saved up, so no burst follows it.
        now = time.monotonic()
        turn = max(now, self._free_at)
        self._free_at = turn + rows / self._rate
        return turn - now
