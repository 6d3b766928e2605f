"""The most frequent words: the same as sorting all words, as long as counts only grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables import top
from tables.top import SIZE, TopWords

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALL = 5


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    """Few candidates, so that they are thinned out often."""
    whole = top.SIZE
    top.SIZE = SMALL
    yield
    top.SIZE = whole


def sorted_all(counts: dict[str, int], n: int) -> list[tuple[str, int]]:
    """The first `n` of all words: highest first, equal ones by word."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:n]


changes = st.lists(
    st.dictionaries(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), st.integers(1, 9), min_size=1),
    max_size=30,
)


@given(changes, st.integers(0, SMALL))
def test_first_are_those_of_sorting_all(grown: list[dict[str, int]], n: int) -> None:
    """After any growth, the first words are the first of all words, ties in order of the word."""
    counts: dict[str, int] = {}
    words = TopWords()
    for growth in grown:
        for word, more in growth.items():
            counts[word] = counts.get(word, 0) + more
        words.update(list(growth), np.array([counts[word] for word in growth], np.int64))
        assert words.first(n) == sorted_all(counts, n)


def test_candidates_are_bounded() -> None:
    """However many words pass by, few are kept."""
    words = TopWords()
    for number in range(50):
        words.update([f"{number}-{n}" for n in range(SMALL)], np.full(SMALL, number, np.int64))
        assert len(words._counts) <= 2 * SMALL
    assert words.first(1) == [("49-0", 49)]


def test_equal_counts_at_the_edge_stay_candidates() -> None:
    """A word as frequent as the last candidate can still come before it by its letters."""
    words = TopWords()
    words.update([f"w{n:02}" for n in range(2 * SMALL + 1)], np.full(2 * SMALL + 1, 3, np.int64))
    words.update(["a"], np.array([3], np.int64))
    assert words.first(2) == [("a", 3), ("w00", 3)]


def test_takes_words_as_pyarrow_gives_them() -> None:
    """Words may come as a pyarrow array; what goes out is text."""
    words = TopWords()
    words.update(pa.array(["a", "b"]), np.array([1, 2], np.int64))
    assert words.first(SMALL) == [("b", 2), ("a", 1)]
    assert type(words.first(1)[0][0]) is str


def test_nothing_has_no_first() -> None:
    """A window without words has no top."""
    words = TopWords()
    words.update([], np.array([], np.int64))
    assert words.first(SMALL) == []


def test_as_many_can_be_asked_for_as_promised() -> None:
    """The size is 1000 wherever a test does not make it small."""
    assert SIZE == 1000
