"""Agent `split`: blocks of lines → partial counts by window and word, for their owners.

    lines[p] ──► words per window ──► partials[q], packed for each owner q

One transaction carries the partial counts, what is late or not text, and the offset of lines[p].
The watermark, which decides what is late, is committed with the offset.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from agents.splitting import split_blocks
from app.counting.windows import NO_WATERMARK
from app.threads import in_thread

if TYPE_CHECKING:
    from app.counting.windows import Windows
    from app.kafka.stage import PartitionTask
    from app.metrics import Metrics
    from app.settings import Settings

__all__ = ["Splitter"]

GATHER_SECONDS = 0.1
"""Shortest time between two transactions of a task: each costs as much as thousands of lines."""


class Splitter:
    """The work of the stage `split` in each of its tasks."""

    def __init__(self, settings: Settings, windows: Windows, metrics: Metrics) -> None:
        self._settings = settings
        self._windows = windows
        self._metrics = metrics

    async def split_lines(self, task: PartitionTask) -> None:
        """Count each run of blocks; commit its partial counts with the offset that it reaches."""
        watermark = int(task.metadata or NO_WATERMARK)
        while (blocks := await task.take()) is not None:
            began = time.monotonic()
            split = await in_thread(
                partial(split_blocks, blocks, watermark, self._windows, self._settings)
            )
            await task.commit(split.outgoing, blocks[-1].next, str(split.watermark))
            watermark = split.watermark
            self._metrics.split(split.tally)
            del blocks, split  # their memory is for those that come next
            await task.gather(began + GATHER_SECONDS - time.monotonic())
