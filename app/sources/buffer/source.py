"""A source behind a buffer: its lines wait in memory and on disk until Kafka has them."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, cast

from app.sources.base import Batch, Position, Source
from app.sources.buffer.memory import MemoryQueue, dated
from app.sources.buffer.outstanding import KEY, Outstanding
from app.sources.buffer.spool import Place, SpoolFullError
from app.sources.buffer.spool_queue import SpoolQueue
from app.sources.notices import notify
from app.sources.pump import deliver
from app.sources.transforms import cut

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from app.sources.buffer.spool import Spool

__all__ = ["BufferedSource"]

_SECONDS_TO_OUTAGE = 1.0
"""Without an acknowledgement for so long, even lines of senders that could wait go to disk."""

_SECONDS_BETWEEN_TRIES = 0.5
_SECONDS_TO_END = 3.0
_RECORD_BYTES = 4 << 20


class BufferedSource(Source):
    """A source whose lines survive outages of Kafka and, once on disk, the end of this process.

    Lines wait in memory up to `memory_bytes`. Beyond that they go to the spool: at once if their
    sender would not wait, otherwise once Kafka acknowledges nothing. While the spool is full, the
    source is not read. Lines that are in the spool at the start are delivered first.

    With `write_ahead` all lines go through the spool, and from there to Kafka exactly once.
    """

    replayable = False
    seconds_to_stop = 5.0
    batches_to_stop = float("inf")

    chunk = _RECORD_BYTES
    """Most bytes of a record on disk, which is delivered whole: a slow pace needs small ones."""

    def __init__(
        self, source: Source, spool: Spool, memory_bytes: int, *, write_ahead: bool
    ) -> None:
        super().__init__()
        self._source = source
        self._disk = SpoolQueue(spool)
        self._write_ahead = write_ahead
        # `open` completes the name: the spool's own name is known once the spool is open.
        self.name = KEY if write_ahead else ""
        self._memory = MemoryQueue(memory_bytes)
        self._outstanding = Outstanding(write_ahead=write_ahead)
        # Batches that were read while the buffer closes; they follow all others on disk.
        self._remaining: list[Batch] = []
        self._changed = asyncio.Event()
        self._space = asyncio.Event()
        self._last_acknowledged = time.monotonic()
        self._closing = self._ended = False
        self._error: BaseException | None = None

    @property
    def linger_until(self) -> float | None:
        """None: no line waits for others here."""
        return None

    async def open(self) -> None:
        """Open the spool, then the source."""
        await self._disk.open()
        if self._write_ahead:
            self.name = f"{KEY}{self._disk.name}"
        await self._source.open()

    async def resume(self, positions: Mapping[str, Any]) -> None:
        """Skip the records of the spool that were delivered."""
        for key, value in positions.items():
            if key.startswith(KEY):
                self._disk.skip(Place(key.removeprefix(KEY), value["offset"]))

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield the batches in the spool, then those of the source."""
        filling = asyncio.create_task(self._fill())
        try:
            while True:
                self._changed.clear()
                ended = self._ended
                while (batch := await self._next()) is not None:
                    yield batch
                while self._write_ahead and (removed := self._disk.pop_removed()) is not None:
                    yield Batch(b"", 0, position=Position(KEY + removed, None))
                if ended:
                    break
                await self._changed.wait()
        finally:
            # Give the source time to yield the lines that it has read: they cannot be read again.
            self._closing = True
            self._source.stop()
            self._space.set()
            await asyncio.wait({filling}, timeout=_SECONDS_TO_END)
            filling.cancel()
            await asyncio.wait({filling})
        if self._error is not None:
            raise self._error

    async def acknowledge(self, position: object) -> None:
        """Remove the batches that Kafka has."""
        self._last_acknowledged = time.monotonic()
        place, inner = self._outstanding.acknowledge(position)
        if place is not None:
            on_disk = await self._disk.release(place)
            inner = inner if on_disk is None else on_disk
        if inner is not None:
            await self._source.acknowledge(inner)
        self._changed.set()
        self._space.set()

    async def close(self) -> None:
        """Write the batches that Kafka has not acknowledged to disk."""
        self._source.stop()
        left = self._outstanding.in_memory() + self._memory.all()
        try:
            await self._disk.keep(left, self._remaining)
            if lines := sum(batch.lines for batch in left + self._remaining):
                notify(f"{lines} lines are kept in {self._disk.path}; the next run delivers them")
        except SpoolFullError as error:
            notify(f"Error: lines can't be kept: {error}")
        finally:
            await self._disk.close()
            await self._source.close()

    def stop(self) -> None:
        """Request the end of the source."""
        super().stop()
        self._source.stop()

    async def take(self, batch: Batch) -> None:
        """Store a batch of the source: in memory if there is space, otherwise on disk."""
        read_ms = time.time_ns() // 1_000_000
        full = False
        while True:
            self._space.clear()
            # While the buffer closes nothing waits for space. Behind lines on disk a batch must go
            # there, too. Otherwise memory takes it, whatever its size: `close` writes it.
            if self._closing and (self._write_ahead or self._disk.unread):
                self._remaining += cut(dated(batch, read_ms), self.chunk)
                break
            if self._closing or self._fits(batch):
                self._memory.put(batch, read_ms)
                break
            # A sender that does not wait would lose lines. One that waits need not fill the disk
            # unless Kafka is away.
            if self._write_ahead or not self._source.waits or self._kafka_is_away():
                try:
                    await self._disk.append(
                        [*cut(dated(batch, read_ms), self.chunk)], batch.position
                    )
                    break
                except SpoolFullError as error:
                    if not full:
                        full = True
                        notify(f"Error: no space for more lines: {error}; reading waits for space")
            with suppress(TimeoutError):
                async with asyncio.timeout(_SECONDS_BETWEEN_TRIES):
                    await self._space.wait()
        if full:
            notify("There is space for lines again; reading resumes")
        self.failures = self._source.failures
        self._changed.set()

    async def flush(self) -> None:
        """Do nothing: no line waits for others here."""

    async def _fill(self) -> None:
        try:
            async with aclosing(cast("AsyncGenerator[Batch]", self._source.batches())) as batches:
                await deliver(batches, self._source, self)
        except Exception as error:
            self._error = error
        finally:
            self.failures = self._source.failures
            self._ended = True
            self._changed.set()

    def _fits(self, batch: Batch) -> bool:
        """Whether a batch may wait in memory: not before older batches have left the disk."""
        return not self._write_ahead and not self._disk.unread and self._memory.fits(batch)

    def _kafka_is_away(self) -> bool:
        waited = time.monotonic() > self._last_acknowledged + _SECONDS_TO_OUTAGE
        return bool(self._outstanding) and waited

    async def _next(self) -> Batch | None:
        waiting = self._memory.get()
        if waiting is not None:
            self._space.set()
            return self._yielded(waiting.due, waiting.dated, None)
        found = await self._disk.read()
        return None if found is None else self._yielded(found[0], None, found[1])

    def _yielded(self, batch: Batch, in_memory: Batch | None, place: Place | None) -> Batch:
        if not self._outstanding:
            self._last_acknowledged = time.monotonic()
        return self._outstanding.add(batch, in_memory, place)
