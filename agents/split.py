"""Agent `split`: blocks of lines → partial counts by window and word, for their owners.

    lines[p] ──► words per window ──► partials[q], one packed message for each owner q

One transaction carries the partial counts, what is late or not text, and the offset of lines[p].
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from aiokafka import TopicPartition

from app.kafka.writer import Outgoing, Record
from app.metrics import count_lines
from app.partials import WindowCounts, pack
from app.text import count_words, invalid_utf8
from app.threads import in_thread
from app.windows import NO_WATERMARK

if TYPE_CHECKING:
    from app.kafka.blocks import Block
    from app.kafka.stage import Lane
    from app.metrics import Metrics
    from app.settings import Settings
    from app.windows import Windows

__all__ = ["Splitter"]


class _Counted(NamedTuple):
    """What became of some blocks: what to write, the watermark after them, and how many."""

    outgoing: list[Outgoing]
    watermark: int
    lines: int
    messages: int
    late: int
    rejected: int


class Splitter:
    """The work of the stage `split` in each of its lanes."""

    def __init__(self, settings: Settings, windows: Windows, metrics: Metrics) -> None:
        self._settings = settings
        self._windows = windows
        self._metrics = metrics

    async def split_lines(self, lane: Lane) -> None:
        """Count each run of blocks and commit: partial counts with the offset that they reach."""
        watermark = int(lane.metadata or NO_WATERMARK)
        while (blocks := await lane.take()) is not None:
            counted = await in_thread(partial(self._count, lane.partition, blocks, watermark))
            await lane.commit(counted.outgoing, blocks[-1].next, str(counted.watermark))
            watermark = counted.watermark
            self._metrics.split(counted.lines, counted.messages, counted.late, counted.rejected)

    def _count(self, source: int, blocks: list[Block], watermark: int) -> _Counted:
        records = [record for block in blocks for record in block.records]
        values = [record.value or b"" for record in records]
        outgoing = []
        bad = invalid_utf8(values)
        if bad:
            rejected = [(records[place], reason) for place, reason in bad.items()]
            outgoing.append(self._rejected(source, rejected))
            records = [record for place, record in enumerate(records) if place not in bad]
            values = [record.value for record in records]
        timestamps = np.fromiter((record.timestamp for record in records), np.int64, len(records))
        judged = self._windows.judge(timestamps, watermark, time.time_ns() // 1_000_000)
        late = [records[place] for place in judged.late]
        if late:
            outgoing.append(self._late(source, late))
        counted = [
            WindowCounts(start, *count_words(judged.select(values, places), self._settings.words))
            for start, places in judged.windows
        ]
        packed = pack(counted, self._settings.partitions, source, judged.watermark)
        for owner, messages in enumerate(packed):
            if messages:
                partition = TopicPartition(self._settings.partials, owner)
                outgoing.append(Outgoing(partition, [Record(None, value) for value in messages]))
        return _Counted(
            outgoing, judged.watermark, count_lines(values), len(values), len(late), len(bad)
        )

    def _late(self, source: int, late: list[Any]) -> Outgoing:
        partition = TopicPartition(self._settings.late, source)
        return Outgoing(partition, [_unchanged(record) for record in late])

    def _rejected(self, source: int, rejected: list[tuple[Any, str]]) -> Outgoing:
        partition = TopicPartition(self._settings.rejected, source)
        return Outgoing(
            partition,
            [_unchanged(record, ("reason", reason.encode())) for record, reason in rejected],
        )


def _unchanged(record: Any, *more: tuple[str, bytes]) -> Record:
    return Record(record.key, record.value, record.timestamp, (*record.headers, *more))
