"""Prepares a checkpoint: partial counts added to a partition's stored rows.

Nothing is changed here. The caller commits the puts of the change to the changelog, and then
`WordCounts.apply` takes the change in.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from app.counting.pairs import MAX_SEPARATE_SETS, sum_pairs
from app.counting.partials import by_window, join_words
from app.counting.text import merge_counts
from app.counting.windows import NO_WATERMARK
from tables import rows
from tables.rows import WindowTotals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from app.counting.partials import WindowCounts
    from app.counting.windows import Windows
    from tables.partition import PartitionState
    from tables.rows import Put

    Parts = Mapping[int, list[tuple[Any, Any]]]
    Read = Callable[[Sequence[bytes]], list[bytes | None]]

__all__ = ["Change", "WindowChange", "prepare_change"]

_NO_TOTALS = WindowTotals(0, 0, 0)


class WindowChange(NamedTuple):
    """Rows of one window that a checkpoint changes: `words`, new absolute `counts`, their keys."""

    start: int
    keys: list[bytes]
    words: Any
    counts: np.ndarray[Any, Any]
    totals: WindowTotals


@dataclass(slots=True)
class Change:
    """The changes of one checkpoint in one partition.

    `puts` go to changelog and store, `watermarks` become those of the partition, `active_sources`
    are the partitions of lines that sent more than far-future times, `refused` is the number of
    words whose window has expired.
    """

    version: int
    windows: list[WindowChange]
    watermarks: dict[int, int]
    puts: list[Put]
    active_sources: frozenset[int] = frozenset()
    refused: int = 0

    @property
    def size(self) -> int:
        """Number of changed rows of words."""
        return sum(len(window.keys) for window in self.windows)


def prepare_change(
    state: PartitionState,
    windows: Windows,
    read: Read,
    deltas: Iterable[WindowCounts],
    watermarks: Mapping[int, int],
    active_sources: Iterable[int] = (),
) -> Change:
    """Prepare the change that adds `deltas` (several a window) to the rows that `read` returns.

    `watermarks` come with the deltas; `active_sources` is as in `Pending`.
    """
    # Versions order the writes to Cassandra, so they must grow even where the clock of this machine
    # is behind that of the previous owner's.
    version = max(time.time_ns() // 1000, state.version + 1)
    parts = by_window(deltas)
    # Words of a window that is gone are refused: its counts would start from zero again.
    refused = 0
    for start in [start for start in parts if start < state.expired]:
        refused += sum(int(counts.to_numpy().sum()) for _, counts in parts.pop(start))
    add = _add_together if len(parts) > MAX_SEPARATE_SETS else _add_one_by_one
    changed = list(add(state.totals, windows, read, parts, version))
    puts: list[Put] = []
    for window in changed:
        puts.extend(zip(window.keys, rows.encode_rows(window.counts, version), strict=True))
        puts.append((windows.prefix(window.start), rows.encode_totals(window.totals)))
    # A watermark never falls, although those of a recreated topic of lines start low.
    known = state.watermarks
    newest = {**known, **{s: max(mark, known.get(s, mark)) for s, mark in watermarks.items()}}
    puts.append((rows.WATERMARKS, json.dumps(newest).encode()))
    puts.append((rows.FLUSHED, rows.encode_number(state.dirty.flushed)))
    moved = {s for s, mark in watermarks.items() if mark > known.get(s, NO_WATERMARK)}
    return Change(version, changed, newest, puts, frozenset(moved.union(active_sources)), refused)


def _add_one_by_one(
    totals: Mapping[int, WindowTotals], windows: Windows, read: Read, parts: Parts, version: int
) -> Iterator[WindowChange]:
    for start, of_window in sorted(parts.items()):
        words, counts = merge_counts(of_window)
        keys = windows.keys(start, words)
        # A row is an absolute count: the stored one plus the delta. A word without a stored row is
        # a new distinct word of its window.
        found = read(keys)
        added = counts.to_numpy()
        before = totals.get(start, _NO_TOTALS)
        after = WindowTotals(
            before.words + int(added.sum()),
            before.distinct + sum(row is None for row in found),
            version,
        )
        yield WindowChange(start, keys, words, rows.decode_counts(found) + added, after)


def _add_together(
    totals: Mapping[int, WindowTotals], windows: Windows, read: Read, parts: Parts, version: int
) -> Iterator[WindowChange]:
    """Do as `_add_one_by_one` does, for many windows at once: one read fetches all rows.

    A window costs some 100 µs of pyarrow and RocksDB calls however few words it has. So the words
    of all windows become one array, beside it the place of each word's window; pairs of window and
    word are summed and read together. The result comes in order of windows, so each window's
    share of it is one slice.
    """
    starts = sorted(parts)
    flat = [(place, *part) for place, start in enumerate(starts) for part in parts[start]]
    window_of, words, added = sum_pairs(
        np.repeat([place for place, _, _ in flat], [len(words) for _, words, _ in flat]),
        join_words([words for _, words, _ in flat]),
        np.concatenate([counts.to_numpy() for _, _, counts in flat]),
    )
    keys = windows.keys_of(starts, window_of, words)
    found = read(keys)
    counts = rows.decode_counts(found) + added
    new = np.array([row is None for row in found])
    cuts = np.searchsorted(window_of, np.arange(len(starts) + 1)).tolist()
    for start, begin, end in zip(starts, cuts, cuts[1:], strict=False):
        before = totals.get(start, _NO_TOTALS)
        after = WindowTotals(
            before.words + int(added[begin:end].sum()),
            before.distinct + int(new[begin:end].sum()),
            version,
        )
        of_window = words.slice(begin, end - begin)
        yield WindowChange(start, keys[begin:end], of_window, counts[begin:end], after)
