"""The most frequent words of a window, kept while counts grow.

Counts of a window never fall, and every change comes through `update`. So a word that is not among
the first `SIZE` can get there only by a change of its own, and the first `SIZE` of the candidates
kept here are the first of all words.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SIZE", "TopWords"]

SIZE = 1000
"""Maximum number of words in one answer."""


class TopWords:
    """Candidates for the top `SIZE` words of one window in one partition."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._floor = 0

    def update(self, words: Sequence[str] | Any, counts: np.ndarray[Any, Any]) -> None:
        """Add changed words with their new counts; `words` is a list or a pyarrow array."""
        # Most changed words are rare. A word at or below the floor can't be among the first, so
        # numpy drops it before a Python string is made of it.
        places = np.flatnonzero(counts > self._floor)
        for place in places.tolist():
            self._counts[str(words[place])] = int(counts[place])
        if len(self._counts) > 2 * SIZE:
            self._counts = dict(self.first(SIZE))
            # One below the least count: a word as frequent as that comes first by its letters.
            self._floor = min(self._counts.values()) - 1

    def first(self, n: int) -> list[tuple[str, int]]:
        """The first `n` words and their counts: highest first, equal counts by word."""
        return heapq.nsmallest(n, self._counts.items(), key=lambda item: (-item[1], item[0]))
