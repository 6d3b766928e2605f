"""Lines and words a second over the last minutes: what every worker remembers of its own.

A second is a whole one of the wall clock, so that those of several workers can be added up.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["KEPT_SECONDS", "Rate", "Rates", "sum_rates"]

KEPT_SECONDS = 600
"""How far back rates are remembered."""


class Rate(NamedTuple):
    """What was done within the second that ends at `second` (Unix time)."""

    second: int
    lines: float
    words: float


class Rates:
    """Samples two counters about once a second; bounded by KEPT_SECONDS.

    `read` tells how many lines and words there have been so far.
    """

    def __init__(
        self, read: Callable[[], tuple[float, float]], clock: Callable[[], float] = time.time
    ) -> None:
        self._read = read
        self._clock = clock
        self._kept: deque[Rate] = deque(maxlen=KEPT_SECONDS)
        self._second: int | None = None
        self._before = (0.0, 0.0)

    def sample(self) -> None:
        """Take note of the counters; seconds in which nobody called share what came in them."""
        second, now = int(self._clock()), self._read()
        if self._second is None or second < self._second:  # the clock was set back
            self._second, self._before = second, now
            return
        passed = second - self._second
        if not passed:
            return
        lines, words = (after - before for after, before in zip(now, self._before, strict=True))
        for number in range(max(0, passed - KEPT_SECONDS), passed):
            self._kept.append(Rate(self._second + number + 1, lines / passed, words / passed))
        self._second, self._before = second, now

    def since(self, second: int) -> list[Rate]:
        """Those after `second`, oldest first."""
        return [rate for rate in self._kept if rate.second > second]


def sum_rates(workers: Iterable[Iterable[Rate]]) -> list[Rate]:
    """What all workers did, by second, oldest first."""
    total: dict[int, Rate] = {}
    for second, lines, words in (rate for rates in workers for rate in rates):
        before = total.get(second, Rate(second, 0, 0))
        total[second] = Rate(second, before.lines + lines, before.words + words)
    return [total[second] for second in sorted(total)]
