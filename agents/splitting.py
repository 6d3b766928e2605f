"""Splits blocks of lines into partial counts, late messages and rejected messages; pure."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from app.counting.pairs import count_windows
from app.counting.partials import pack
from app.counting.text import invalid_utf8
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
"""Rows that are packed before more windows are counted: a word may be in many windows."""


class Split(NamedTuple):
    """The result of splitting blocks of the partition `source` of lines.

    `partials` are packed counts by the partition that owns their words, `reasons` those of the
    `rejected` messages, `watermark` (ms) is the one after the blocks.
    """

    source: int
    partials: list[list[bytes]]
    late: Records
    rejected: Records
    reasons: list[str]
    watermark: int
    tally: Tally


def split_blocks(
    blocks: Sequence[Block], watermark: int, windows: Windows, settings: Settings
) -> Split:
    """Count the words of `blocks`, all of one partition, per window; heavy, for a thread.

    `watermark` (ms) is the partition's before the blocks. Late messages and those that are not
    UTF-8 come back unchanged.
    """
    source = blocks[0].partition
    records = Records.join([block.records for block in blocks])
    bad = invalid_utf8(records.values)
    rejected = records.select(list(bad))
    # Rejected messages leave before windows are assigned, so they move no watermark.
    if bad:
        records = records.select([place for place in range(len(records)) if place not in bad])
    # The wall clock only shows which times are far ahead: the watermark comes from the lines.
    assignment = windows.assign(records.timestamps, watermark, time.time_ns() // 1_000_000)
    values = [value or b"" for value in records.values]
    words = 0
    partials: list[list[bytes]] = [[] for _ in range(settings.partitions)]
    for counted in _some_at_a_time(count_windows(values, assignment, settings.words)):
        words += sum(int(counts.to_numpy().sum()) for _, _, counts in counted)
        packed = pack(counted, settings.partitions, source, assignment.watermark)
        for messages, more in zip(partials, packed, strict=True):
            messages.extend(more)
    tally = Tally(
        blocks=len(blocks),
        lines=count_lines(values),
        messages=len(values),
        words=words,
        late=len(assignment.late),
        rejected=len(bad),
    )
    late = records.select(assignment.late.tolist())
    reasons = list(bad.values())
    return Split(source, partials, late, rejected, reasons, assignment.watermark, tally)


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
