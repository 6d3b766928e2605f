"""Agent `split`: blocks of lines → partial counts by window and word, for the words' owners.

    lines[p] ──► words per window ──► partials[q], packed for each owner q

One transaction carries the partial counts, late and rejected messages, and the offset of lines[p].
The watermark decides which lines are late. It is committed as the metadata of the offset.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from agents.kafka_records import split_records
from agents.splitting import split_blocks
from app.counting.windows import NO_WATERMARK
from app.kafka.transport import block_topic
from app.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Sequence

    import faust
    from faust.types import StreamT

    from agents.splitting import Split
    from app.counting.windows import Windows
    from app.kafka.blocks import Block
    from app.kafka.producer import PartitionRecords
    from app.kafka.stage import Stage
    from app.kafka.task import PartitionTask
    from app.metrics import Metrics
    from app.settings import Settings

__all__ = ["Splitter", "add_split"]

GATHER_SECONDS = 0.1
"""Shortest time between two transactions of a task: each costs as much as thousands of lines."""


def add_split(app: faust.App, stage: Stage) -> None:
    """Register the agent; the tasks of `stage` run `Splitter.split_lines`."""

    @app.agent(block_topic(app, stage.topic), name="split", concurrency=1)
    async def split(blocks: StreamT[Block]) -> None:
        """Split lines into words; send counts by window to the partitions that own the words."""
        async for block in blocks:
            await stage.put(block.taken())


class Splitter:
    """The work of the stage `split` in each of its tasks."""

    def __init__(self, settings: Settings, windows: Windows, metrics: Metrics) -> None:
        self._settings = settings
        self._windows = windows
        self._metrics = metrics

    async def split_lines(self, task: PartitionTask) -> None:
        """Count each run of blocks; commit its partial counts with the offset after it."""
        watermark = int(task.metadata or NO_WATERMARK)
        while (blocks := await task.take()) is not None:
            began = time.monotonic()
            split, records = await in_thread(partial(self._split, blocks, watermark))
            await task.commit(records, blocks[-1].next, str(split.watermark))
            watermark = split.watermark
            self._metrics.split(split.tally)
            del blocks, split, records  # frees their memory for the next blocks
            await task.gather(began + GATHER_SECONDS - time.monotonic())

    def _split(
        self, blocks: Sequence[Block], watermark: int
    ) -> tuple[Split, list[PartitionRecords]]:
        """Split blocks and make their records; heavy, for a thread."""
        split = split_blocks(blocks, watermark, self._windows, self._settings)
        return split, split_records(split, self._settings)
