"""The accounts of a delivery: lines taken in and acknowledged, the position, the stall time."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from app.sources.delivery.contract import Totals

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.sources.delivery.intake import Intake

__all__ = ["Accounting"]


class Accounting:
    """Counts lines and messages; keeps the position and the time of the last acknowledgement."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.taken = 0
        """Lines taken in."""
        self._acknowledged = self._messages = self._bytes = 0
        self._last_acknowledged = -math.inf
        self.position: object = None
        """The newest resume position up to which Kafka has acknowledged everything."""
        self.moved = asyncio.Event()
        """Set whenever `position` becomes a newer one."""

    def acknowledge(self, *, lines: int, messages: int, size: int) -> None:
        """Count lines and messages of `size` bytes that Kafka has acknowledged."""
        self._acknowledged += lines
        self._messages += messages
        self._bytes += size
        self._last_acknowledged = self._clock()

    def move(self, position: object) -> None:
        """Note that Kafka has everything up to this position; None changes nothing."""
        if position is not None:
            self.position = position
            self.moved.set()

    @property
    def acknowledged(self) -> int:
        """Lines that Kafka has acknowledged."""
        return self._acknowledged

    def stalled_seconds(self, waiting_since: float | None) -> float:
        """Seconds without an acknowledgement while lines wait; None: none wait."""
        if waiting_since is None:
            return 0.0
        return self._clock() - max(waiting_since, self._last_acknowledged)

    def totals(self, intake: Intake) -> Totals:
        """All totals, with those of the intake."""
        return Totals(
            self.taken,
            self._acknowledged,
            self._messages,
            self._bytes,
            intake.refused,
            intake.restamped,
        )
