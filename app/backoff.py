"""Computes waits between attempts that grow with each failure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Backoff", "doubled", "linear"]


def doubled(first_seconds: float, failures: int) -> float:
    """The wait after so many failures, if each wait is twice the one before."""
    # The limit keeps the power below the largest float; `longest_seconds` is far below that.
    return first_seconds * 2.0 ** min(failures - 1, 64)


def linear(step_seconds: float, failures: int) -> float:
    """The wait after so many failures: none after the first, then a step more each time."""
    return step_seconds * (failures - 1)


@dataclass
class Backoff:
    """Computes the wait before the next attempt from the number of failures since a success."""

    first_seconds: float
    longest_seconds: float
    growth: Callable[[float, int], float] = doubled
    jitter: float = 0.0
    """The random part of a wait, 0 to 1: many clients must not return at the same moment."""
    failures: int = 0
    """Failures since the last success."""

    def failed(self) -> float:
        """Count a failure; return the seconds to wait before the next attempt."""
        self.failures += 1
        longest = min(self.longest_seconds, self.growth(self.first_seconds, self.failures))
        return longest * random.uniform(1 - self.jitter, 1) if self.jitter else longest

    def succeeded(self) -> None:
        """Start again from the shortest wait."""
        self.failures = 0
