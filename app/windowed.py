"""Words of many windows counted at once, where one window after the other would cost too much.

A step of pyarrow costs the same 10 to 100 µs for one line as for a thousand. So where a block's
lines spread over thousands of windows, the block is split as a whole, and what is counted is pairs
of window and word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from app.partials import WindowCounts
from app.text import count_words, split_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from app.text import Mode
    from app.windows import Judged

__all__ = ["FEW", "count_windows", "sum_pairs"]

FEW = 8
"""Windows up to which one after the other is cheaper."""


def count_windows(values: Sequence[bytes], judged: Judged, mode: Mode) -> list[WindowCounts]:
    """Count the words of messages in each of the windows that they were judged to be in."""
    windows = judged.windows
    # The words of `unicode` are found token by token: there is no saving in one go.
    if len(windows) <= FEW or mode != "whitespace":
        return [
            WindowCounts(start, *count_words(judged.select(values, places), mode))
            for start, places in windows
        ]
    words, ends = split_lines(values)
    every = np.arange(len(values))
    lines = [every if places is None else places for _, places in windows]
    window_of = np.repeat(np.arange(len(windows)), [len(places) for places in lines])
    line_of = np.concatenate(lines)
    begins, ends = np.concatenate(([0], ends[:-1]))[line_of], ends[line_of]
    taken = words.take(pa.array(_ranges(begins, ends)))
    window_of = np.repeat(window_of, ends - begins)
    ones = np.ones(len(taken), np.int64)
    window_of, taken, counts = sum_pairs(window_of, taken, ones)
    return _by_window([start for start, _ in windows], window_of, taken, counts)


def sum_pairs(
    window_of: NDArray[np.intp], words: Any, counts: NDArray[np.int64]
) -> tuple[NDArray[np.intp], Any, NDArray[np.int64]]:
    """Add up counts of equal pairs of window and word; pairs in order of windows."""
    encoded = words.dictionary_encode()
    distinct = max(1, len(encoded.dictionary))
    pairs = window_of * distinct + encoded.indices.to_numpy()
    found, place = np.unique(pairs, return_inverse=True)
    totals = np.zeros(len(found), np.int64)
    np.add.at(totals, place, counts)
    return found // distinct, encoded.dictionary.take(pa.array(found % distinct)), totals


def _by_window(
    starts: Sequence[int], window_of: NDArray[np.intp], words: Any, counts: NDArray[np.int64]
) -> list[WindowCounts]:
    ends = np.searchsorted(window_of, np.arange(len(starts)), "right").tolist()
    summed = pa.array(counts)
    return [
        WindowCounts(start, words.slice(begin, end - begin), summed.slice(begin, end - begin))
        for start, begin, end in zip(starts, [0, *ends], ends, strict=False)
        if end > begin
    ]


def _ranges(begins: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers of all ranges, one range after the other."""
    lengths = ends - begins
    shifts = begins - np.concatenate(([0], np.cumsum(lengths)[:-1]))
    return np.arange(int(lengths.sum())) + np.repeat(shifts, lengths)
