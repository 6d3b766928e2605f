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
    from tables.partition import PartitionState
    from tables.rows import Put
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
    state = table.owned[partition]
    flushed = state.dirty.flushed
    bound = max(state.expired, table.windows.expired_before(_clock(table, state)))
    expired = sorted(
        start
        for start, totals in list(state.totals.items())
        if start < bound and totals.version <= flushed
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
        puts.append((table.windows.prefix(start), None))
    # Windows are refused as they go: those above may still wait for Cassandra.
    reached = max(state.expired, shortened[-1] + 1)
    puts.append((rows.EXPIRED, rows.encode_number(reached)))
    # The versions of what goes are not above this one, from which the next owner goes on.
    puts.append((rows.FLUSHED, rows.encode_number(flushed)))
    return Removal(shortened, ended, reached, puts)


def apply_removal(table: WordCounts, partition: int, removal: Removal, offset: int) -> None:
    """Take in a step whose transaction has committed, at `offset` of the changelog."""
    state = table.owned[partition]
    with state.changing():
        table.store.write(partition, removal.puts, offset)
        state.expired = removal.bound
        for start in removal.shortened:
            state.tops.pop(start, None)
        for start in removal.ended:
            state.totals.pop(start, None)


def _clock(table: WordCounts, state: PartitionState) -> int:
    """The time (ms) by which windows expire."""
    silent = time.monotonic() - table.windows.retention_ms / 1000
    watermarks = [
        watermark
        for source, watermark in state.watermarks.items()
        if watermark > NO_WATERMARK and state.active_at[source] > silent
    ]
    return min(watermarks) if watermarks else time.time_ns() // 1_000_000
