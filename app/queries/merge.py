"""Merges the workers' answers about their own partitions into one answer over all partitions.

Each answer names its application, its generation of the consumer group and its partitions of the
table. Answers are merged only if they are of one generation and cover every partition exactly once.
Otherwise a number would be wrong, and NotServingError is raised instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "BadRequestError",
    "LocalAnswer",
    "NotServingError",
    "WindowWords",
    "check_coverage",
    "merge_top",
    "merge_totals",
    "merge_windows",
]


class NotServingError(Exception):
    """No right answer exists now: a rebalance, a recovery, a worker that does not answer."""


class BadRequestError(Exception):
    """The query is wrong: the message names the parameter and what it accepts."""


class LocalAnswer(TypedDict):
    """The header of every answer about a worker's own partitions."""

    id: str
    url: str
    generation: int
    partitions: list[int]


class WindowWords(NamedTuple):
    """The top words of one window; `start` is None if there is no window at all."""

    start: int | None
    words: list[tuple[str, int]]


def check_coverage(answers: Sequence[Any], application: str, partitions: int) -> None:
    """Raise NotServingError unless the answers cover all partitions exactly once."""
    strangers = [answer["url"] for answer in answers if answer["id"] != application]
    if strangers:
        raise NotServingError(f"{strangers[0]} is a worker of another application")
    if len({answer["generation"] for answer in answers}) > 1:
        raise NotServingError("a rebalance is under way")
    covered = [partition for answer in answers for partition in answer["partitions"]]
    missing = sorted(set(range(partitions)) - set(covered))
    if missing:
        raise NotServingError(f"no worker serves {_named(missing)}")
    if len(covered) != partitions:
        raise NotServingError("two workers serve the same partition")


def _named(partitions: Sequence[int]) -> str:
    shown = ", ".join(str(partition) for partition in partitions[:10])
    more = ", …" if len(partitions) > 10 else ""
    return f"partition{'s' if len(partitions) > 1 else ''} {shown}{more}"


def merge_top(answers: Sequence[Any], n: int, before: int) -> WindowWords:
    """The first `n` words over all answers, highest count first, equal counts by word.

    Workers that choose their own newest window may choose different ones. The newest window that
    starts up to `before` wins; a worker with another window has no word in the winner.
    """
    # Each word belongs to one partition, so no count is split between workers, and the first n of
    # all workers are among the first n of each.
    starts = [answer["start"] for answer in answers if answer["start"] is not None]
    if not starts:
        return WindowWords(None, [])
    start = max([start for start in starts if start <= before] or starts)
    words = [
        (word, count)
        for answer in answers
        if answer["start"] == start
        for word, count in answer["words"]
    ]
    return WindowWords(start, sorted(words, key=lambda item: (-item[1], item[0]))[:n])


def merge_totals(answers: Iterable[Any], start: int | None) -> tuple[int, int]:
    """Words and distinct words of the window `start`, over the answers about that window."""
    of_window = [answer["totals"] for answer in answers if answer["start"] == start]
    return sum(words for words, _ in of_window), sum(distinct for _, distinct in of_window)


def merge_windows(answers: Iterable[Any]) -> list[tuple[int, int, int]]:
    """(start, words, distinct words) of each window over all answers, newest first."""
    totals: dict[int, tuple[int, int]] = {}
    for answer in answers:
        for start, words, distinct in answer["windows"]:
            before = totals.get(start, (0, 0))
            # Distinct words may be summed because no word is in two partitions.
            totals[start] = (before[0] + words, before[1] + distinct)
    return [(start, *totals[start]) for start in sorted(totals, reverse=True)]
