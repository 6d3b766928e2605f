"""Many windows at once: the same counts as one window after the other."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app import windowed
from app.windowed import count_windows
from app.windows import Judged

texts = st.text(st.sampled_from("ab é\u2003\t\n\x1c語\x00 "), max_size=12).map(str.encode)
lines = st.lists(st.tuples(texts, st.sets(st.integers(0, 40), max_size=3)), max_size=60)


@settings(deadline=None)
@given(lines)
def test_counts_are_those_of_each_window_alone(given_lines: list[tuple[bytes, set[int]]]) -> None:
    """Whatever the whitespace, the windows and their number; a line may be in several windows."""
    values = [text for text, _ in given_lines]
    places: dict[int, list[int]] = {}
    for number, (_, starts) in enumerate(given_lines):
        for start in starts:
            places.setdefault(start, []).append(number)
    judged = Judged([(s, np.array(places[s])) for s in sorted(places)], np.empty(0, np.intp), 0)
    expected: Counter[tuple[int, str]] = Counter()
    for text, starts in given_lines:
        expected.update((start, word) for word in text.decode().split() for start in starts)
    found: Counter[tuple[int, str]] = Counter()
    for start, words, counts in count_windows(values, judged, "whitespace"):
        for word, count in zip(words.to_pylist(), counts.to_pylist(), strict=True):
            found[start, word] += count
    assert found == expected


@settings(deadline=None)
@given(st.lists(texts, min_size=1, max_size=20))
def test_a_window_of_all_lines_counts_all(values: list[bytes]) -> None:
    """Where a window has every line, its places are not written out."""
    starts = range(windowed.FEW + 2)
    judged = Judged([(start, None) for start in starts], np.empty(0, np.intp), 0)
    expected = Counter(word for value in values for word in value.decode().split())
    found = count_windows(values, judged, "whitespace")
    assert len(found) == (len(starts) if expected else 0)
    for _, words, counts in found:
        assert dict(zip(words.to_pylist(), counts.to_pylist(), strict=True)) == expected
