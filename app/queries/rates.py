"""Lines and words per second over the last minutes, as this worker counted them.

Each second is a whole second of the wall clock, so that the rates of several workers can be summed.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["KEPT_SECONDS", "Rate", "RateHistory", "sum_rates"]

KEPT_SECONDS = 600
"""How long rates are kept."""


class Rate(NamedTuple):
    """Lines and words counted within the second that ends at `second` (Unix time)."""

    second: int
    lines: float
    words: float


class RateHistory:
    """Samples two counters about once a second; keeps KEPT_SECONDS of rates.

    `read` returns the total numbers of lines and words so far.
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
        """Read the counters; seconds without a sample share equally what was counted in them."""
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
        """The rates after `second`, oldest first."""
        return [rate for rate in self._kept if rate.second > second]


def sum_rates(workers: Iterable[Iterable[Rate]]) -> list[Rate]:
    """The summed rates of all workers by second, oldest first."""
    total: dict[int, Rate] = {}
    for second, lines, words in (rate for rates in workers for rate in rates):
        before = total.get(second, Rate(second, 0, 0))
        total[second] = Rate(second, before.lines + lines, before.words + words)
    return [total[second] for second in sorted(total)]
