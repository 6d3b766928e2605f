"""Back-pressure of the flush: a checkpoint reserves room for the rows that it makes dirty."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["RowQuota"]


class RowQuota:
    """A limit on the cost of dirty rows over all partitions; `cost` returns that of the present.

    Tasks reserve first come, first served. A task that waits stops reading.
    """

    def __init__(self, limit: int, cost: Callable[[], int]) -> None:
        self._limit = limit
        self._cost = cost
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._reserved = 0

    @contextlib.asynccontextmanager
    async def reserve(self, cost: int) -> AsyncIterator[None]:
        """Reserve room for rows that cost so much, once there is room beside the dirty ones.

        A change that costs more than the limit gets the quota for itself alone.
        """
        async with self._turn:
            # The wait holds the lock, so that later tasks queue behind this one. Otherwise small
            # changes could pass a large one for ever.
            while (others := self._cost() + self._reserved) and others + cost > self._limit:
                self._changed.clear()
                await self._changed.wait()
            self._reserved += cost
        try:
            yield
        finally:
            # The change is applied now, so `cost` counts its rows as dirty. Or it has failed, and
            # there are none.
            self._reserved -= cost
            self._changed.set()

    def recheck(self) -> None:
        """Let the tasks that wait look at the cost again: rows have been acknowledged."""
        self._changed.set()
