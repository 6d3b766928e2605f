"""Windows past retention go: from the changelog, from RocksDB, from memory, in small steps.

Event time decides, by the slowest partition of lines: as long as one may still send lines for a
window, the window stays, or its count would begin again from nothing. A partition that has been
silent for the retention does not count; when all have, the wall clock decides. Far-future times are
no more than silence: they move no watermark, and would hold back all windows for ever. Whatever
comes for an expired window after all is refused, not counted. Rows that Cassandra lacks do not go.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from app.counting.windows import NO_WATERMARK
from tables import rows

if TYPE_CHECKING:
    from tables.partition import Partition
    from tables.store import Put
    from tables.word_counts import WordCounts

__all__ = ["STEP_ROWS", "Removal", "apply_removal", "next_removal"]

STEP_ROWS = 20_000
"""Most rows that one step removes."""


@dataclass(slots=True)
class Removal:
    """One step: the windows that it shortens, those of them that it ends, and what to write.

    `bound` is the start (ms) below which windows are gone then.
    """

    shortened: list[int]
    ended: list[int]
    bound: int
    puts: list[Put]


def next_removal(table: WordCounts, partition: int) -> Removal | None:
    """The next step of expiry in a partition; None where nothing has expired."""
    own = table.owned[partition]
    bound = max(own.expired, table.ranges.expired_before(_clock(table, own)))
    expired = sorted(
        start
        for start, totals in list(own.windows.items())
        if start < bound and totals.version <= own.flushed
    )
    if not expired:
        return None
    shortened, ended = [], []
    puts: list[Put] = []
    for start in expired:
        most = STEP_ROWS - len(puts)
        keys = [key for key, _ in islice(table.rows_of(partition, start), most)]
        shortened.append(start)
        puts.extend((key, None) for key in keys)
        if len(keys) == most:
            break
        ended.append(start)
        puts.append((table.ranges.prefix(start), None))
    # Windows are refused as they go: those above may still wait for Cassandra.
    reached = max(own.expired, shortened[-1] + 1)
    puts.append((rows.EXPIRED, rows.encode_number(reached)))
    # The versions of what goes are not above this one, from which the next owner goes on.
    puts.append((rows.FLUSHED, rows.encode_number(own.flushed)))
    return Removal(shortened, ended, reached, puts)


def apply_removal(table: WordCounts, partition: int, removal: Removal, offset: int) -> None:
    """Take in a step whose transaction has committed, at `offset` of the changelog."""
    own = table.owned[partition]
    with own.changing():
        table.store.write(partition, removal.puts, offset)
        own.expired = removal.bound
        for start in removal.shortened:
            own.tops.pop(start, None)
        for start in removal.ended:
            own.windows.pop(start, None)


def _clock(table: WordCounts, own: Partition) -> int:
    """The time (ms) by which windows expire."""
    silent = time.monotonic() - table.ranges.retention_ms / 1000
    marks = [
        mark
        for source, mark in own.sources.items()
        if mark > NO_WATERMARK and own.heard[source] > silent
    ]
    return min(marks) if marks else time.time_ns() // 1_000_000
