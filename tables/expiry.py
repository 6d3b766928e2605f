"""Removes windows past retention from the changelog, RocksDB and memory, in small steps.

Event time decides, by the slowest partition of lines: as long as one may still send lines for a
window, the window stays, or its count would start from zero again. A partition that has been silent
for the retention does not count; when all have, the wall clock decides. Far-future times count as
silence: they move no watermark, and would hold back all windows for ever. Words that come for an
expired window are refused, not counted. Rows that Cassandra lacks stay.
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
"""Maximum number of rows that one step removes."""


@dataclass(slots=True)
class Removal:
    """One step: it removes rows of the `shortened` windows, and all rows of the `ended` ones.

    Windows that start below `bound` (ms) are gone after it. `puts` go to changelog and store.
    """

    shortened: list[int]
    ended: list[int]
    bound: int
    puts: list[Put]


def next_removal(table: WordCounts, partition: int) -> Removal | None:
    """Prepare the next step of expiry in a partition; None where nothing has expired."""
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
        left = STEP_ROWS - len(puts)
        keys = [key for key, _ in islice(table.rows_of(partition, start), left)]
        shortened.append(start)
        puts.extend((key, None) for key in keys)
        # The step is full. The window's own row stays until the last of its words has gone.
        if len(keys) == left:
            break
        ended.append(start)
        puts.append((table.windows.prefix(start), None))
    # Words are refused only for windows that go now: later ones may still be dirty.
    reached = max(state.expired, shortened[-1] + 1)
    puts.append((rows.EXPIRED, rows.encode_number(reached)))
    # The removed rows have versions up to this one. The next owner continues from it, even if no
    # row with a version is left.
    puts.append((rows.FLUSHED, rows.encode_number(flushed)))
    return Removal(shortened, ended, reached, puts)


def apply_removal(table: WordCounts, partition: int, removal: Removal, offset: int) -> None:
    """Apply a step whose transaction has committed, at `offset` of the changelog."""
    state = table.owned[partition]
    with state.changing():
        table.databases.write(partition, removal.puts, offset)
        state.expired = removal.bound
        for start in removal.shortened:
            state.tops.pop(start, None)
        for start in removal.ended:
            state.totals.pop(start, None)


def _clock(table: WordCounts, state: PartitionState) -> int:
    """Return the time (ms) that decides which windows expire."""
    silent = time.monotonic() - table.windows.retention_ms / 1000
    watermarks = [
        watermark
        for source, watermark in state.watermarks.items()
        if watermark > NO_WATERMARK and state.active_at[source] > silent
    ]
    return min(watermarks) if watermarks else time.time_ns() // 1_000_000
