"""What workers answer about their own partitions, and how that becomes one answer.

Each answer says of which application, generation of the consumer group and partitions of the table
it is. Answers are put together only if they are of one generation and their partitions are all
partitions, each once: otherwise a number would be wrong, and there is no answer.
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
    """There is no right answer now: a rebalance, a recovery, a worker that does not answer."""


class BadRequestError(Exception):
    """The question can't be answered as it is put."""


class LocalAnswer(TypedDict):
    """What every answer about a worker's own partitions begins with."""

    id: str
    url: str
    generation: int
    partitions: list[int]


class WindowWords(NamedTuple):
    """The top words of one window; `start` is None where there is no window at all."""

    start: int | None
    words: list[tuple[str, int]]


def check_coverage(answers: Sequence[Any], application: str, partitions: int) -> None:
    """Raise NotServingError unless the answers together are of all partitions, each once."""
    strangers = [answer["url"] for answer in answers if answer["id"] != application]
    if strangers:
        raise NotServingError(f"{strangers[0]} is a worker of another application")
    if len({answer["generation"] for answer in answers}) > 1:
        raise NotServingError("a rebalance is under way")
    told = [partition for answer in answers for partition in answer["partitions"]]
    missing = sorted(set(range(partitions)) - set(told))
    if missing:
        raise NotServingError(f"no worker tells of {_named(missing)}")
    if len(told) != partitions:
        raise NotServingError("two workers tell of the same partition")


def _named(partitions: Sequence[int]) -> str:
    shown = ", ".join(str(partition) for partition in partitions[:10])
    more = ", …" if len(partitions) > 10 else ""
    return f"partition{'s' if len(partitions) > 1 else ''} {shown}{more}"


def merge_top(answers: Sequence[Any], n: int, before: int) -> WindowWords:
    """The first `n` words over all answers, highest count first, equal ones by word.

    Answers may be of different windows when each gave its newest: the newest that starts up to
    `before` counts then, and whoever gave another one has no word in it.
    """
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
    """Words and distinct words of the window `start`, over the answers that are about it."""
    of_window = [answer["totals"] for answer in answers if answer["start"] == start]
    return sum(words for words, _ in of_window), sum(distinct for _, distinct in of_window)


def merge_windows(answers: Iterable[Any]) -> list[tuple[int, int, int]]:
    """(start, words, distinct words) of each window over all answers, newest first."""
    totals: dict[int, tuple[int, int]] = {}
    for answer in answers:
        for start, words, distinct in answer["windows"]:
            before = totals.get(start, (0, 0))
            totals[start] = (before[0] + words, before[1] + distinct)
    return [(start, *totals[start]) for start in sorted(totals, reverse=True)]
