"""Blocks of lines → what is written for them: partial counts, and lines late or rejected."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from aiokafka import TopicPartition

from app.counting.pairs import count_windows
from app.counting.partials import pack
from app.counting.text import invalid_utf8
from app.kafka.producer import PartitionRecords, Record
from app.kafka.records import Records
from app.metrics import Tally, count_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from app.counting.partials import WindowCounts
    from app.counting.windows import Windows
    from app.kafka.blocks import Block
    from app.settings import Settings

__all__ = ["Split", "split_blocks"]

PACKED_ROWS = 1 << 18
"""Rows from which on some windows are packed before the next are counted: a word may be in many."""


class Split(NamedTuple):
    """What became of some blocks: what to write, the watermark (ms) after them, and how many."""

    outgoing: list[PartitionRecords]
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
    records = Records.join([block.records for block in blocks])
    outgoing = []
    bad = invalid_utf8(records.values)
    if bad:
        reasons = [("reason", reason.encode()) for reason in bad.values()]
        outgoing.append(_unchanged(settings.rejected, source, records.select(list(bad)), reasons))
        records = records.select([place for place in range(len(records)) if place not in bad])
    assignment = windows.assign(records.timestamps, watermark, time.time_ns() // 1_000_000)
    if len(assignment.late):
        late = records.select(assignment.late.tolist())
        outgoing.append(_unchanged(settings.late, source, late))
    values = [value or b"" for value in records.values]
    words = 0
    for counted in _some_at_a_time(count_windows(values, assignment, settings.words)):
        words += sum(int(counts.to_numpy().sum()) for _, _, counts in counted)
        packed = pack(counted, settings.partitions, source, assignment.watermark)
        outgoing += [
            PartitionRecords(
                TopicPartition(settings.partials, owner), [Record(None, m) for m in messages]
            )
            for owner, messages in enumerate(packed)
            if messages
        ]
    tally = Tally(
        blocks=len(blocks),
        lines=count_lines(values),
        messages=len(values),
        words=words,
        late=len(assignment.late),
        rejected=len(bad),
    )
    return Split(outgoing, assignment.watermark, tally)


def _some_at_a_time(counted: Iterable[WindowCounts]) -> Iterator[list[WindowCounts]]:
    some: list[WindowCounts] = []
    rows = 0
    for window in counted:
        some.append(window)
        rows += len(window.words)
        if rows >= PACKED_ROWS:
            yield some
            some, rows = [], 0
    yield some


def _unchanged(
    topic: str, partition: int, records: Records, more: Sequence[tuple[str, bytes]] = ()
) -> PartitionRecords:
    """Records as they came, each with one header of `more` if there are any."""
    kept = zip(records.keys, records.values, records.timestamps.tolist(), strict=True)
    return PartitionRecords(
        TopicPartition(topic, partition),
        [
            Record(*record, (*records.headers.get(place, ()), *more[place : place + 1]))
            for place, record in enumerate(kept)
        ],
    )
