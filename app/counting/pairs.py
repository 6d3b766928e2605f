"""Words of many windows counted at once, where one window after the other would cost too much.

A call of pyarrow costs the same 10 to 100 µs for one line as for a thousand. So where a block's
lines spread over thousands of windows, the block is split as a whole, and pairs of window and word
are counted. Windows that hop share lines: windows of the same lines are counted once. Pairs are
counted in passes, so that memory holds a bounded number of them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from app.counting.partials import WindowCounts
from app.counting.text import count_words, split_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from app.counting.text import Mode
    from app.counting.windows import Places, WindowAssignment

    Shared = list[tuple[Places | None, list[int]]]

__all__ = ["MAX_SEPARATE_SETS", "count_windows", "sum_pairs"]

MAX_SEPARATE_SETS = 8
"""Number of sets of lines up to which one after the other is cheaper."""

MAX_PAIRS_PER_PASS = 1 << 19
"""Maximum number of (window, word) pairs per pass."""


def count_windows(
    values: Sequence[bytes], assignment: WindowAssignment, mode: Mode
) -> Iterator[WindowCounts]:
    """Count the words of messages in each of the windows that they were assigned to.

    Yields the windows in order, so that memory need not hold the counts of all of them.
    """
    shared = _shared(assignment)
    # `unicode` finds words in tokens that are counted first; pairs need the words of each line.
    if len(shared) > MAX_SEPARATE_SETS and mode == "whitespace":
        yield from _count_pairs(values, shared)
        return
    for places, starts in shared:
        words, counts = count_words(assignment.select(values, places), mode)
        yield from (WindowCounts(start, words, counts) for start in starts)


def sum_pairs(
    window_of: NDArray[np.intp], words: Any, counts: NDArray[np.int64]
) -> tuple[NDArray[np.intp], Any, NDArray[np.int64]]:
    """Add up counts of equal pairs of window and word; pairs in order of windows."""
    # A pair becomes one number: the window's place, times the distinct words, plus the word's.
    # Then `unique` finds equal pairs, sorted by window, without a Python object for any of them.
    encoded = words.dictionary_encode()
    distinct = max(1, len(encoded.dictionary))
    pairs = window_of * distinct + encoded.indices.to_numpy()
    found, place = np.unique(pairs, return_inverse=True)
    totals = np.zeros(len(found), np.int64)
    np.add.at(totals, place, counts)
    return found // distinct, encoded.dictionary.take(pa.array(found % distinct)), totals


def _shared(assignment: WindowAssignment) -> Shared:
    """Sets of lines, each with the starts of the successive windows that hold just these lines."""
    shared: Shared = []
    for start, places in assignment.windows:
        if shared and _equal(shared[-1][0], places):
            shared[-1][1].append(start)
        else:
            shared.append((places, [start]))
    return shared


def _equal(some: Places | None, others: Places | None) -> bool:
    if some is None or others is None:
        return some is others
    return len(some) == len(others) and some[0] == others[0] and bool((some == others).all())


def _count_pairs(values: Sequence[bytes], shared: Shared) -> Iterator[WindowCounts]:
    words, ends = split_lines(values)
    if not len(words):
        return
    # Words become numbers, and each line is a range of them. The lines of all sets stand one after
    # the other in `line_of`; `cuts` is where each set begins there. A pass takes whole sets, about
    # as many as have MAX_PAIRS_PER_PASS words.
    encoded = words.dictionary_encode()
    kinds, distinct = encoded.indices.to_numpy(), encoded.dictionary
    del words, encoded
    lengths = np.diff(ends, prepend=0)
    begins = ends - lengths
    every = np.arange(len(values))
    lines = [every if places is None else places for places, _ in shared]
    cuts = np.cumsum([0, *map(len, lines)])
    line_of = np.concatenate(lines)
    pass_of = np.cumsum(lengths[line_of])[cuts[1:] - 1] // MAX_PAIRS_PER_PASS
    for first, last in pairwise([0, *(np.flatnonzero(np.diff(pass_of)) + 1), len(shared)]):
        # Each set of the pass gets numbers of its own, from `firsts` on: a pair is that plus the
        # word. Then counting numbers counts pairs.
        held = line_of[cuts[first] : cuts[last]]
        firsts = np.repeat(np.arange(last - first) * len(distinct), np.diff(cuts[first : last + 1]))
        pairs = np.repeat(firsts, lengths[held]) + kinds[_ranges(begins[held], ends[held])]
        found, counts = _count_each(pairs, (last - first) * len(distinct))
        yield from _by_window([starts for _, starts in shared[first:last]], distinct, found, counts)


def _by_window(
    sets: Sequence[list[int]], distinct: Any, found: NDArray[np.int64], counts: NDArray[np.int64]
) -> Iterator[WindowCounts]:
    words, summed = distinct.take(pa.array(found % len(distinct))), pa.array(counts)
    cuts = np.searchsorted(found, np.arange(len(sets) + 1) * len(distinct)).tolist()
    for starts, begin, end in zip(sets, cuts, cuts[1:], strict=False):
        counted = words.slice(begin, end - begin), summed.slice(begin, end - begin)
        yield from (WindowCounts(start, *counted) for start in starts)


def _count_each(numbers: NDArray[np.int64], below: int) -> tuple[Any, Any]:
    """The distinct numbers, in order, and how often each occurs."""
    # Counting into an array of all possible numbers is faster than sorting, unless most would be 0.
    if below > 4 * len(numbers):
        return np.unique(numbers, return_counts=True)
    counts = np.bincount(numbers, minlength=below)
    found = np.flatnonzero(counts)
    return found, counts[found]


def _ranges(begins: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers of all ranges, one range after the other."""
    # Counting on from 0 gives each range but for a shift: the difference between its begin and the
    # number of elements before it.
    lengths = ends - begins
    shifts = begins - np.concatenate(([0], np.cumsum(lengths)[:-1]))
    return np.arange(int(lengths.sum())) + np.repeat(shifts, lengths)
