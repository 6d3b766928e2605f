"""Merging the answers of several workers."""

from __future__ import annotations

from typing import Any

import pytest

from app.queries.merge import NotServingError, check_coverage, merge_top, merge_windows

LATEST = 1 << 62


def answer(partitions: list[int], generation: int = 7, application: str = "a") -> dict[str, Any]:
    return {
        "id": application,
        "url": f"http://worker-{partitions}",
        "generation": generation,
        "partitions": partitions,
    }


def test_answers_that_cover_every_partition_once_are_enough() -> None:
    """All partitions, each from one worker, in one generation: nothing is missing."""
    check_coverage([answer([0, 3]), answer([]), answer([1, 2])], "a", 4)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([], "no worker serves partitions 0, 1, 2, 3"),
        ([answer([0, 1, 3])], "no worker serves partition 2"),
        ([answer([0, 1]), answer([1, 2, 3])], "two workers serve the same partition"),
        ([answer([0, 1]), answer([2, 3], generation=8)], "a rebalance is under way"),
        ([answer([0, 1, 2, 3]), answer([], generation=8)], "a rebalance is under way"),
        ([answer([0, 1, 2, 3], application="b")], "is a worker of another application"),
    ],
)
def test_any_other_answers_are_refused(answers: list[dict[str, Any]], reason: str) -> None:
    """A gap, an overlap, two generations or another application would give a wrong number."""
    with pytest.raises(NotServingError, match=reason):
        check_coverage(answers, "a", 4)


def test_the_reason_names_at_most_ten_missing_partitions() -> None:
    """A reason stays one line, however many partitions there are."""
    with pytest.raises(NotServingError, match=r"partitions 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …$"):
        check_coverage([], "a", 500)


def test_top_words_are_merged_by_count_then_word() -> None:
    """The order of the first n words does not depend on the order of the answers."""
    answers = [
        {"start": 60, "words": [["b", 5], ["d", 2]]},
        {"start": 60, "words": [["a", 5], ["c", 3]]},
    ]
    expected = (60, [("a", 5), ("b", 5), ("c", 3)])
    assert merge_top([_tuples(a) for a in answers], 3, LATEST) == expected
    assert merge_top([_tuples(a) for a in reversed(answers)], 3, LATEST) == expected


def _tuples(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "words": [tuple(item) for item in found["words"]]}


def test_the_newest_window_is_the_newest_of_any_worker() -> None:
    """A worker whose newest window is older has no word in the newest one."""
    answers = [{"start": 60, "words": [("a", 1)]}, {"start": 0, "words": [("b", 9)]}]
    assert merge_top(answers, 10, LATEST) == (60, [("a", 1)])


def test_a_window_of_the_far_future_is_not_the_newest() -> None:
    """A line from a clock that is ahead does not hide the present, unless it is the only one."""
    future = {"start": 10**15, "words": [("x", 1)]}
    assert merge_top([future, {"start": 60, "words": [("a", 1)]}], 10, 1000).start == 60
    assert merge_top([future, {"start": None, "words": []}], 10, 1000).start == 10**15


def test_without_windows_there_are_no_top_words() -> None:
    """An empty table has no newest window."""
    assert merge_top([{"start": None, "words": []}], 10, LATEST) == (None, [])


def test_windows_are_summed_newest_first() -> None:
    """Words and distinct words of a window are summed: each word is in one partition."""
    answers = [{"windows": [(0, 5, 2), (60, 1, 1)]}, {"windows": [(0, 7, 3)]}]
    assert merge_windows(answers) == [(60, 1, 1), (0, 12, 5)]
