"""Blocks of lines → what is written for them: partial counts, and lines late or rejected."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from aiokafka import TopicPartition

from app.kafka.writer import Outgoing, Record
from app.metrics import Tally, count_lines
from app.partials import WindowCounts, pack
from app.text import count_words, invalid_utf8

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from app.kafka.blocks import Block
    from app.settings import Settings
    from app.windows import Windows

__all__ = ["Split", "split_blocks"]


class Split(NamedTuple):
    """What became of some blocks: what to write, the watermark (ms) after them, and how many."""

    outgoing: list[Outgoing]
    watermark: int
    tally: Tally


def split_blocks(
    blocks: Sequence[Block], watermark: int, windows: Windows, settings: Settings
) -> Split:
    """Count the words of `blocks`, all of one partition, per window; heavy, for a thread.

    `watermark` (ms) is that of the partition before them. Late messages and those that are not
    UTF-8 are kept as they came, for topics of their own.
    """
    source = blocks[0].partition
    records = [record for block in blocks for record in block.records]
    values = [record.value or b"" for record in records]
    outgoing = []
    bad = invalid_utf8(values)
    if bad:
        reasons = [("reason", reason.encode()) for reason in bad.values()]
        rejected = zip((records[place] for place in bad), reasons, strict=True)
        outgoing.append(
            _unchanged(settings.rejected, source, [(r, [reason]) for r, reason in rejected])
        )
        records = [record for place, record in enumerate(records) if place not in bad]
        values = [record.value or b"" for record in records]
    timestamps = np.fromiter((record.timestamp for record in records), np.int64, len(records))
    judged = windows.judge(timestamps, watermark, time.time_ns() // 1_000_000)
    if len(judged.late):
        late = (records[place] for place in judged.late)
        outgoing.append(_unchanged(settings.late, source, ((record, ()) for record in late)))
    counted = [
        WindowCounts(start, *count_words(judged.select(values, places), settings.words))
        for start, places in judged.windows
    ]
    for owner, messages in enumerate(pack(counted, settings.partitions, source, judged.watermark)):
        if messages:
            partition = TopicPartition(settings.partials, owner)
            outgoing.append(Outgoing(partition, [Record(None, message) for message in messages]))
    tally = Tally(
        blocks=len(blocks),
        lines=count_lines(values),
        messages=len(values),
        words=sum(int(counts.to_numpy().sum()) for _, _, counts in counted),
        late=len(judged.late),
        rejected=len(bad),
    )
    return Split(outgoing, judged.watermark, tally)


def _unchanged(
    topic: str, partition: int, records: Iterable[tuple[Any, Sequence[tuple[str, bytes]]]]
) -> Outgoing:
    return Outgoing(
        TopicPartition(topic, partition),
        [
            Record(record.key, record.value, record.timestamp, (*record.headers, *more))
            for record, more in records
        ],
    )
