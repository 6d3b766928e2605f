"""Many windows at once: the same counts as one window after the other."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.counting import pairs as module
from app.counting.pairs import count_windows
from app.counting.segments import words_of
from app.counting.windows import NO_WATERMARK, WindowAssignment, Windows

if TYPE_CHECKING:
    from collections.abc import Sequence

texts = st.text(st.sampled_from("ab é\u2003\t\n\x1c語\x00 "), max_size=12).map(str.encode)
lines = st.lists(st.tuples(texts, st.sets(st.integers(0, 40), max_size=3)), max_size=60)
pairs = st.sampled_from([1, 7, module.MAX_PAIRS_PER_PASS])
modes: Any = st.sampled_from(["whitespace", "unicode"])


def assert_counted(
    values: Sequence[bytes], assignment: WindowAssignment, mode: Any, most_pairs: int
) -> None:
    """Each window has the counts that a Counter has of its lines, and comes once, in order."""
    expected = {}
    for start, places in assignment.windows:
        texts = [text.decode() for text in assignment.select(values, places)]
        words = (text.split() if mode == "whitespace" else words_of(text) for text in texts)
        expected[start] = Counter(word for some in words for word in some)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_PAIRS_PER_PASS", most_pairs)
        found = [
            (start, dict(zip(words.to_pylist(), counts.to_pylist(), strict=True)))
            for start, words, counts in count_windows(values, assignment, mode)
        ]
    assert [own for own in found if own[1]] == [own for own in expected.items() if own[1]]


@settings(deadline=None)
@given(lines, modes, pairs)
def test_counts_are_those_of_each_window_alone(
    given_lines: list[tuple[bytes, set[int]]], mode: Any, most_pairs: int
) -> None:
    """Any whitespace and any number of windows; a line may be in several windows."""
    places: dict[int, list[int]] = {}
    for number, (_, starts) in enumerate(given_lines):
        for start in starts:
            places.setdefault(start, []).append(number)
    assignment = WindowAssignment(
        [(s, np.array(places[s])) for s in sorted(places)], np.empty(0, np.intp), 0
    )
    assert_counted([text for text, _ in given_lines], assignment, mode, most_pairs)


@settings(deadline=None)
@given(
    st.lists(st.tuples(texts, st.integers(0, 90)), max_size=40),
    st.integers(1, 60),
    st.integers(0, 60),
    pairs,
)
def test_windows_that_hop_count_the_lines_that_they_share(
    given_lines: list[tuple[bytes, int]], step: int, grace: int, most_pairs: int
) -> None:
    """Some hold all lines, some the same ones, some none that others do."""
    timestamps = np.array([time for _, time in given_lines], np.int64)
    assignment = Windows(60, step, grace, 1000).assign(timestamps, NO_WATERMARK, 0)
    assert_counted([text for text, _ in given_lines], assignment, "whitespace", most_pairs)


def test_windows_of_the_same_lines_are_counted_once() -> None:
    """They have one and the same counts, which take no memory of their own."""
    some, others = np.array([0]), np.array([1])
    windows = [(0, some), (1, None), (2, None), (3, some), (4, np.array([0])), (5, others)]
    found = list(
        count_windows([b"a b", b"c"], WindowAssignment(windows, some[:0], 0), "whitespace")
    )
    assert [start for start, _, _ in found] == [0, 1, 2, 3, 4, 5]
    same = [own.words is after.words for own, after in pairwise(found)]
    assert same == [False, True, False, True, False]


def test_windows_that_share_lines_do_not_multiply_memory() -> None:
    """A word in sixty windows is not held sixty times, though each has lines of its own."""
    rng = np.random.default_rng(1)
    values = [b" ".join(b"w%d" % n for n in rng.integers(0, 5000, 10)) for _ in range(10_000)]
    assignment = WindowAssignment(
        [(n, np.arange(n, 9_900 + n)) for n in range(60)], np.empty(0, np.intp), 0
    )
    default = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(default)
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        total = sum(
            int(own.counts.to_numpy().sum())
            for own in count_windows(values, assignment, "whitespace")
        )
        peak = tracemalloc.get_traced_memory()[1] + pool.max_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(default)
    assert total == 60 * 9_900 * 10
    assert peak < 100_000_000, f"{peak:,} bytes"
