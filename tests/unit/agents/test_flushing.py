"""The flusher while Cassandra hangs."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING

from agents.flushing import Flusher

if TYPE_CHECKING:
    from tables.flush_batch import FlushBatch


class HangingFlusher(Flusher):
    """A flusher whose batches never end."""

    async def _flush_batch(self, batch: FlushBatch, timeout_seconds: float | None) -> bool:
        await asyncio.Event().wait()
        return False


async def test_the_last_flush_waits_no_longer_than_it_may() -> None:
    """It returns the number of dirty rows while an earlier flush still waits for Cassandra."""
    table = SimpleNamespace(dirty_count=lambda: 3, owned={}, windows=None)
    flusher = HangingFlusher(table, SimpleNamespace(), SimpleNamespace())  # type: ignore[arg-type]  # stand-ins
    before = asyncio.create_task(flusher.flush_counts())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await flusher.flush_counts(0.05) == 3
    before.cancel()
