"""Keeps what a source took in, in memory and on disk, until Kafka has it."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import deque
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from app.sources.base import Batch, Position, Source
from app.sources.buffer.spool import Place, SpoolFullError
from app.sources.buffer.spools import left_by_others
from app.sources.progress import say
from app.sources.pump import deliver
from app.sources.transforms import cut

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from app.sources.buffer.spool import Spool

__all__ = ["BufferedSource"]

_SECONDS_OF_PATIENCE = 1.0
"""How long Kafka may acknowledge nothing until senders that could wait do so no longer."""

_SECONDS_BETWEEN_TRIES = 0.5
_SECONDS_TO_END = 3.0

_WAITED_MS = 500
"""A batch that waited longer carries its own time; others share messages with what came later."""

_RECORD_BYTES = 4 << 20

_KEY = "spool "


class _Out(NamedTuple):
    """What was yielded and is not acknowledged."""

    number: int
    batch: Batch | None
    """None: it is on disk."""
    place: Place | None
    position: object


class BufferedSource(Source):
    """A source whose lines survive outages of Kafka and, what is on disk, the end of this process.

    Lines wait in memory up to `memory` bytes. Beyond that they go to the spool: at once if their
    sender would not wait, else once Kafka acknowledges nothing any more. When the spool is full the
    source is not read. What is in the spool at the start is delivered first.

    With `write_ahead` all lines go through the spool, and from there to Kafka exactly once.
    """

    replayable = False
    seconds_to_stop = 5.0
    batches_to_stop = float("inf")

    chunk = _RECORD_BYTES
    """Most bytes of a record on disk, which is delivered whole: a slow pace wants small ones."""

    def __init__(self, source: Source, spool: Spool, memory: int, *, write_ahead: bool) -> None:
        super().__init__()
        self._source = source
        self._spool = spool
        self._memory = memory
        self._write_ahead = write_ahead
        # The rest of it is known when the spool is open.
        self.name = _KEY if write_ahead else ""
        self._ready: deque[tuple[Batch, int]] = deque()
        self._ready_bytes = 0
        self._late: list[Batch] = []
        self._out: deque[_Out] = deque()
        self._positions: deque[tuple[Place, object]] = deque()
        self._number = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._closing = False
        self._disk = asyncio.Lock()
        self._heard = time.monotonic()
        self._ended = False
        self._error: BaseException | None = None
        self._torn = 0

    @property
    def linger_until(self) -> float | None:
        """Nothing lingers here."""
        return None

    async def open(self) -> None:
        """Open the spool, then the source."""
        left = await asyncio.to_thread(self._spool.open)
        if self._write_ahead:
            self.name = f"{_KEY}{self._spool.name}"
        if left:
            say(f"{left:,} bytes that an earlier run kept in {self._spool.path} go first")
        if others := await asyncio.to_thread(left_by_others, self._spool):
            say(f"Lines are left that no producer is there to deliver: {'; '.join(others)}")
        await self._source.open()

    async def resume(self, positions: Mapping[str, Any]) -> None:
        """Leave out what of the spool was delivered."""
        for key, value in positions.items():
            if key.startswith(_KEY):
                self._spool.skip(Place(key.removeprefix(_KEY), value["offset"]))

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield what was kept, then what the source yields."""
        filling = asyncio.create_task(self._fill())
        try:
            while True:
                self._changed.clear()
                ended = self._ended
                while (out := await self._next()) is not None:
                    yield out
                while self._write_ahead and self._spool.gone:
                    yield Batch(b"", 0, position=Position(_KEY + self._spool.gone.pop(), None))
                if ended:
                    break
                await self._changed.wait()
        finally:
            # Gently: what it has in its hands nobody can read again.
            self._closing = True
            self._source.stop()
            self._room.set()
            await asyncio.wait({filling}, timeout=_SECONDS_TO_END)
            filling.cancel()
            await asyncio.wait({filling})
        if self._error is not None:
            raise self._error

    async def acknowledge(self, position: object) -> None:
        """Forget what Kafka has."""
        self._heard = time.monotonic()
        place: Place | None = None
        inner: object = None
        while self._out and self._covers(position, self._out[0]):
            _, _, found, told = self._out.popleft()
            place = found or place
            inner = told if told is not None else inner
        if place is not None:
            async with self._disk:
                await asyncio.to_thread(self._spool.release, place)
            while self._positions and self._positions[0][0] <= place:
                inner = self._positions.popleft()[1]
        if inner is not None:
            await self._source.acknowledge(inner)
        self._changed.set()
        self._room.set()

    async def close(self) -> None:
        """Keep on disk what Kafka has not acknowledged."""
        self._source.stop()
        left = [out.batch for out in self._out if out.batch is not None]
        left += [_dated(*waiting) for waiting in self._ready]
        try:
            if left:
                await asyncio.to_thread(self._spool.prepend, left)
            if self._late:
                await asyncio.to_thread(self._spool.append, self._late, always=True)
            if lines := sum(batch.lines for batch in left + self._late):
                say(f"{lines} lines are kept in {self._spool.path}; the next run delivers them")
        except SpoolFullError as error:
            say(f"Error: lines can't be kept: {error}")
        finally:
            await asyncio.to_thread(self._spool.close)
            await self._source.close()

    def stop(self) -> None:
        """Ask the source to end."""
        super().stop()
        self._source.stop()

    async def take(self, batch: Batch) -> None:
        """Keep a batch of the source: in memory if there is room, else on disk."""
        now_ms = time.time_ns() // 1_000_000
        said = ""
        while True:
            self._room.clear()
            if self._closing and (self._write_ahead or self._spool.unread):
                self._late += cut(_dated(batch, now_ms), self.chunk)
                break
            if self._closing or self._fits(batch):
                self._ready.append((batch, now_ms))
                self._ready_bytes += len(batch.text)
                break
            if self._write_ahead or not self._source.waits or self._kafka_is_away():
                try:
                    await self._to_disk(_dated(batch, now_ms))
                    break
                except SpoolFullError as error:
                    if not said:
                        said = f"no room for more lines: {error}"
                        say(f"Error: {said}; no more are read until there is")
            with suppress(TimeoutError):
                async with asyncio.timeout(_SECONDS_BETWEEN_TRIES):
                    await self._room.wait()
        if said:
            say("There is room for lines again")
        self.failures = self._source.failures
        self._changed.set()

    async def flush(self) -> None:
        """Nothing lingers here."""

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
        return (
            not self._write_ahead
            and not self._spool.unread
            and (not self._ready or self._ready_bytes + len(batch.text) <= self._memory)
        )

    def _kafka_is_away(self) -> bool:
        return bool(self._out) and time.monotonic() > self._heard + _SECONDS_OF_PATIENCE

    async def _to_disk(self, batch: Batch) -> None:
        async with self._disk:
            place = await asyncio.to_thread(self._spool.append, [*cut(batch, self.chunk)])
        if batch.position is not None:
            self._positions.append((place, batch.position))

    async def _next(self) -> Batch | None:
        if self._ready:
            batch, read_ms = self._ready.popleft()
            self._ready_bytes -= len(batch.text)
            self._room.set()
            kept = _dated(batch, read_ms)
            waited = time.time_ns() // 1_000_000 - read_ms
            return self._yielded(kept if waited > _WAITED_MS else batch, kept, None)
        async with self._disk:
            found = await asyncio.to_thread(self._spool.read) if self._spool.unread else None
        if self._spool.torn > self._torn:
            say(
                f"{self._spool.torn - self._torn:,} bytes in {self._spool.path} were torn; left out"
            )
            self._torn = self._spool.torn
        return None if found is None else self._yielded(found[0], None, found[1])

    def _yielded(self, batch: Batch, kept: Batch | None, place: Place | None) -> Batch:
        self._number += 1
        if not self._out:
            self._heard = time.monotonic()
        self._out.append(_Out(self._number, kept, place, batch.position))
        position: object = self._number
        if self._write_ahead and place is not None:
            position = Position(_KEY + place.segment, {"offset": place.offset})
        return dataclasses.replace(batch, position=position)

    @staticmethod
    def _covers(position: object, out: _Out) -> bool:
        """Whether a position that was acknowledged lies behind what was yielded."""
        if not isinstance(position, Position):
            return isinstance(position, int) and out.number <= position
        if position.value is None or out.place is None:
            return position.value is not None
        return out.place <= Place(position.key.removeprefix(_KEY), position.value["offset"])


def _dated(batch: Batch, read_ms: int) -> Batch:
    """The batch with the time at which it was read, if it has none of its own."""
    if batch.timestamp_ms is not None:
        return batch
    return dataclasses.replace(batch, timestamp_ms=read_ms)
