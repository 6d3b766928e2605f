"""A spool on the event loop: calls in threads, one at a time, with positions and notices."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from app.sources.buffer.spools import left_by_others
from app.sources.notices import notify

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from app.sources.base import Batch
    from app.sources.buffer.spool import Place, Spool

__all__ = ["SpoolQueue"]


class SpoolQueue:
    """The batches on disk, first in, first out."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._one_at_a_time = asyncio.Lock()
        # Positions of the source by their places in the spool, which does not store them.
        self._positions: deque[tuple[Place, object]] = deque()
        self._torn_reported = 0

    async def open(self) -> None:
        """Open the spool, and print the lines that it holds and those that no producer delivers."""
        left = await asyncio.to_thread(self._spool.open)
        if left:
            notify(f"{left:,} bytes that an earlier run left in {self.path} go first")
        if others := await asyncio.to_thread(left_by_others, self._spool):
            notify(f"No running producer delivers these lines of other inputs: {'; '.join(others)}")

    @property
    def name(self) -> str:
        """Unique, and the same each time the folder is opened; known once the spool is open."""
        return self._spool.name

    @property
    def path(self) -> Path:
        """The folder of this process."""
        return self._spool.path

    @property
    def unread(self) -> bool:
        """Whether there is more to read."""
        return self._spool.unread

    def skip(self, place: Place) -> None:
        """Skip the records before this place in its segment: Kafka has them."""
        self._spool.skip(place)

    def pop_removed(self) -> str | None:
        """Return the name of a removed segment, each once; None if there is no other."""
        return self._spool.removed.pop() if self._spool.removed else None

    async def append(self, batches: Sequence[Batch], position: object) -> None:
        """Write batches that the source may resume behind at `position`. Raises SpoolFullError."""
        async with self._one_at_a_time:
            place = await asyncio.to_thread(self._spool.append, batches)
        if position is not None:
            self._positions.append((place, position))

    async def read(self) -> tuple[Batch, Place] | None:
        """Read the next batch and the place behind it; None if all batches were read."""
        async with self._one_at_a_time:
            found = await asyncio.to_thread(self._spool.read) if self._spool.unread else None
        self._report_torn()
        return found

    async def release(self, place: Place) -> object:
        """Remove the batches before a place; return the newest of their positions, or None."""
        async with self._one_at_a_time:
            await asyncio.to_thread(self._spool.release, place)
        position: object = None
        while self._positions and self._positions[0][0] <= place:
            position = self._positions.popleft()[1]
        return position

    async def keep(self, first: Sequence[Batch], last: Sequence[Batch]) -> None:
        """Write batches before and behind all others for the next run. Raises SpoolFullError."""
        if first:
            await asyncio.to_thread(self._spool.prepend, first)
        if last:
            await asyncio.to_thread(self._spool.append, last, always=True)

    async def close(self) -> None:
        """Sync the spool and release its folder."""
        await asyncio.to_thread(self._spool.close)

    def _report_torn(self) -> None:
        torn = self._spool.torn - self._torn_reported
        if torn:
            notify(f"{torn:,} bytes in {self.path} were damaged and skipped")
            self._torn_reported = self._spool.torn
