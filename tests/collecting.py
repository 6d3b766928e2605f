"""Runs a source without Kafka and keeps its batches."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from app.sources.base import Batch, Source

__all__ = ["Collected", "batches_of", "collecting"]


def batches_of(source: Source) -> AsyncGenerator[Batch]:
    """The batches of a source as the async generator that its contract requires."""
    return cast("AsyncGenerator[Batch]", source.batches())


class Collected:
    """The batches that a source has yielded so far."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.batches: list[Batch] = []

    @property
    def lines(self) -> list[bytes]:
        """Every line; each part of a long line is an item of its own."""
        return [
            line
            for batch in self.batches
            if batch.text or batch.lines
            for line in batch.text.split(b"\n")
        ]

    @property
    def number(self) -> int:
        """The number of complete lines."""
        return sum(batch.lines for batch in self.batches)

    async def until(self, condition: Callable[[], object], seconds: float = 30) -> None:
        """Wait for a condition."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s: {self.lines[-5:]}"
            await asyncio.sleep(0.005)

    async def expect(self, *lines: bytes) -> None:
        """Wait until exactly these lines have arrived, in any order."""
        await self.until(lambda: len(self.lines) >= len(lines))
        assert sorted(self.lines) == sorted(lines)

    async def run(self) -> None:
        """Collect batches until the source ends."""
        async for batch in self.source.batches():
            self.batches.append(batch)


@asynccontextmanager
async def collecting(
    source: Source, positions: dict[str, object] | None = None
) -> AsyncIterator[Collected]:
    """Open a source, resume it and collect from it while the body runs; then stop and close it."""
    collected = Collected(source)
    await source.open()
    try:
        if source.name:
            await source.resume(positions or {})
        running = asyncio.create_task(collected.run())
        try:
            yield collected
        finally:
            source.stop()
            await asyncio.wait_for(running, 120)
    finally:
        await source.close()
