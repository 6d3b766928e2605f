"""Answers over all workers: this worker answers for itself and asks the others.

A right answer or none: NotServingError unless all partitions of the table are covered exactly once,
in one generation of the group (app/queries/merge.py).
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from app.counting.partitioner import partition_of_word
from app.counting.text import as_counted
from app.queries.completeness import is_final
from app.queries.merge import (
    BadRequestError,
    NotServingError,
    check_coverage,
    merge_top,
    merge_totals,
    merge_windows,
)
from app.times import iso

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from app.counting.windows import Windows
    from app.queries.local import LocalCounts
    from app.queries.peers import Peers
    from app.worker.application import Application

__all__ = ["MOST_WORDS", "WORD_BYTES", "Counts"]

MOST_WORDS = 1000
"""Most top words that can be asked for."""

WORD_BYTES = 64 << 10
"""Longest word that can be asked for, in bytes of UTF-8."""


class Counts:
    """The questions of the web, of the console and of the commands."""

    def __init__(
        self, app: Application, windows: Windows, local: LocalCounts, peers: Peers
    ) -> None:
        self._app = app
        self._windows = windows
        self._local = local
        self._peers = peers

    async def top(self, n: int, start: int | None = None) -> dict[str, Any]:
        """The first `n` words of the window `start` (ms), of the newest by default.

        Raises BadRequestError and NotServingError, as all questions here do.
        """
        return (await self.top_and_totals(n, start))[0]

    async def top_and_totals(
        self, n: int, start: int | None = None
    ) -> tuple[dict[str, Any], tuple[int, int]]:
        """`top`, and the words and distinct words of its window."""
        if not 1 <= n <= MOST_WORDS:
            raise BadRequestError(f"n={n}: must be 1 to {MOST_WORDS}")
        if start is not None and start not in self._windows.starts_of(start):
            raise BadRequestError(f"no window starts at {iso(start)}")
        # One line from a wrong clock must not be the newest window for ever.
        before = _now_ms() + self._windows.future_ms
        query = {"n": str(n), "before": str(before)}
        if start is not None:
            query["start"] = str(start)
        answers = await self._all("api/local/top", query, self._local.top(n, start, before))
        chosen, words = merge_top(answers, n, before)
        shown = None if chosen is None else self._window(chosen, answers)
        answer = {
            "window": shown,
            "words": [{"word": word, "count": count} for word, count in words],
        }
        return answer, merge_totals(answers, chosen)

    async def word(self, word: str) -> dict[str, Any]:
        """How often `word` occurs in each window, newest first; names it as it is counted."""
        word = _checked(as_counted(word, self._app.settings.words))
        partition = partition_of_word(word, self._app.settings.partitions)
        owner = self._peers.owner(partition)
        if owner is None:
            answer = await self._local.word(partition, word)
        else:
            query = {"partition": str(partition), "word": word}
            answer = await self._peers.ask(owner, "api/local/word", query)
            self._check_owner(answer, partition)
        windows = [{**self._span(start), "count": count} for start, count in answer["windows"]]
        return {"word": word, "windows": windows}

    async def windows(self) -> dict[str, Any]:
        """All windows in the table, newest first, with their words and distinct words."""
        answers = await self._all("api/local/windows", {}, self._local.windows())
        return {
            "windows": [
                {**self._window(start, answers), "words": words, "distinct": distinct}
                for start, words, distinct in merge_windows(answers)
            ]
        }

    async def totals(self) -> list[tuple[int, int, int]]:
        """(start in ms, words, distinct words) of each window in the table, newest first."""
        return merge_windows(await self._all("api/local/windows", {}, self._local.windows()))

    async def _all(
        self, path: str, query: dict[str, str], own: Awaitable[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        asked = [self._peers.ask(url, path, query) for url in self._peers.others()]
        answers = await asyncio.gather(own, *asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        told = [answer for answer in answers if not isinstance(answer, BaseException)]
        check_coverage(told, self._app.settings.id, self._app.settings.partitions)
        return told

    def _check_owner(self, answer: dict[str, Any], partition: int) -> None:
        if answer["id"] != self._app.settings.id:
            raise NotServingError(f"{answer['url']} is a worker of another application")
        if (
            answer["generation"] != self._app.consumer_generation_id
            or partition not in answer["partitions"]
        ):
            raise NotServingError("a rebalance is under way")

    def _span(self, start: int) -> dict[str, Any]:
        end = self._windows.end_of(start)
        return {"start": iso(start), "end": None if end is None else iso(end)}

    def _window(self, start: int, answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
        evidence = [answer["evidence"] for answer in answers]
        final = is_final(start, self._windows, evidence, self._app.settings.partitions, _now_ms())
        return {**self._span(start), "final": final}


def _checked(word: str) -> str:
    try:
        size = len(word.encode())
    except UnicodeEncodeError:
        raise BadRequestError("the word is not UTF-8") from None
    if not size:
        raise BadRequestError("the word is empty")
    if size > WORD_BYTES:
        raise BadRequestError(f"the word has {size} bytes: at most {WORD_BYTES}")
    return word


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
