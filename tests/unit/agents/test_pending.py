"""Partial counts that wait for the next checkpoint of their partition."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pyarrow as pa

from agents.pending import Pending
from app.counting.partials import WindowCounts, pack


def block(counts: dict[str, int], start: int = 0, after: int = 1) -> Any:
    """A block with one message of partial counts."""
    words, numbers = (
        pa.array(list(counts), pa.string()),
        pa.array(list(counts.values()), pa.int64()),
    )
    [[message]] = pack([WindowCounts(start, words, numbers)], 1, 0, 0)
    return SimpleNamespace(records=SimpleNamespace(values=[message]), next=after)


def held(pending: Pending) -> Counter[tuple[int, str]]:
    """All counts that wait."""
    found: Counter[tuple[int, str]] = Counter()
    for start, words, counts in pending.deltas:
        for word, count in zip(words.to_pylist(), counts.to_pylist(), strict=True):
            found[start, word] += count
    return found


def test_frequent_words_do_not_hurry_the_checkpoint() -> None:
    """However many blocks bring the same words, they are added up: it comes at its time."""
    pending = Pending(60_000, 100)
    for number in range(50):
        pending.add([block({f"w{word}": 1 for word in range(40)}, after=number)])
    assert not pending.due
    assert held(pending) == {(0, f"w{word}"): 50 for word in range(40)}
    assert sum(len(own.words) for own in pending.deltas) <= 100
    assert pending.offset == 49


def test_many_different_words_bring_the_checkpoint_forward() -> None:
    """The counts that wait stay bounded where adding up does not help."""
    pending = Pending(60_000, 100)
    for number in range(3):
        pending.add([block({f"w{number}-{word}": 1 for word in range(40)})])
    assert pending.due
    assert len(held(pending)) == 120


def test_windows_are_not_mixed() -> None:
    """A word of two windows keeps a count in each."""
    pending = Pending(60_000, 3)
    for start in (0, 60_000, 0, 60_000):
        pending.add([block({"a": 1}, start)])
    assert held(pending) == {(0, "a"): 2, (60_000, "a"): 2}


def test_long_words_bring_the_checkpoint_forward() -> None:
    """They are few, but take the memory of many; added up, they need not be too many."""
    pending = Pending(60_000, 100)
    for _ in range(50):
        pending.add([block({"a" * 1000: 1, "b" * 1000: 1})])
    assert not pending.due
    assert pending.rows <= 100
    pending.add([block({str(number) * 1000: 1 for number in range(8)})])
    assert pending.due
