"""When the next transaction of a delivery is due: by bytes, by age, or by a call of `flush`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.sources.delivery.contract import LINGER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DUE_BYTES", "Schedule"]

DUE_BYTES = 4 << 20
"""Bytes that make a transaction due at once."""

_DUE_SECONDS = 0.1
_SECONDS_BETWEEN_LOOKS = 0.5


class Schedule:
    """Makes a transaction due once enough lines wait, or for long enough."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due = asyncio.Event()
        self._flushed = False
        self._linger_until: float | None = None
        self.waiting_since: float | None = None
        """Since when lines have waited without a break, by the clock; None: none wait."""

    @property
    def linger_until(self) -> float | None:
        """When `flush` is due, by the clock; None: nothing waits for it."""
        if not self._flushed:
            return self._linger_until
        # `flush` also raises the error of a failed transaction: while one is pending it must be
        # called even if the source yields nothing.
        pending = self.waiting_since is not None
        return self._clock() + _SECONDS_BETWEEN_LOOKS if pending else None

    def taken(self, waiting_bytes: int) -> None:
        """Note that lines have been taken in, and that so many bytes wait now."""
        now = self._clock()
        if self.waiting_since is None:
            self.waiting_since = now
        self._linger_until = now + LINGER_SECONDS
        self._flushed = False
        if waiting_bytes > DUE_BYTES or now > self.waiting_since + _DUE_SECONDS:
            self._due.set()

    def flush(self) -> None:
        """Make the next transaction due."""
        self._flushed = True
        self._due.set()

    def rest(self) -> None:
        """Note that no line waits any more."""
        self.waiting_since = None

    async def wait(self) -> None:
        """Wait until a transaction is due."""
        await self._due.wait()
        self._due.clear()
