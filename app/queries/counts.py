"""Queries over all workers: this worker reads its own partitions and asks the other workers.

The answer is right, or NotServingError is raised: all partitions of the table must be covered
exactly once, in one generation of the consumer group (app/queries/merge.py).
"""

from __future__ import annotations

import asyncio
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
from app.times import iso, now_ms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from app.counting.windows import Windows
    from app.queries.local import LocalCounts
    from app.queries.peers import Peers
    from app.queries.worker_view import WorkerView

__all__ = ["MAX_WORDS", "WORD_BYTES", "Counts"]

MAX_WORDS = 1000
"""Maximum number of top words in an answer."""

WORD_BYTES = 64 << 10
"""Longest word in a query, in bytes of UTF-8."""


class Counts:
    """Top words, windows and the counts of one word, for the web, the console and the commands."""

    def __init__(
        self, worker: WorkerView, windows: Windows, local: LocalCounts, peers: Peers
    ) -> None:
        self._worker = worker
        self._settings = worker.settings
        self._windows = windows
        self._local = local
        self._peers = peers

    async def top(self, n: int, start: int | None = None) -> dict[str, Any]:
        """The first `n` words of the window `start` (ms), by default of the newest window.

        Raises BadRequestError and NotServingError, as all queries here do.
        """
        return (await self.top_and_totals(n, start))[0]

    async def top_and_totals(
        self, n: int, start: int | None = None
    ) -> tuple[dict[str, Any], tuple[int, int]]:
        """The answer of `top`, and the words and distinct words of its window."""
        if not 1 <= n <= MAX_WORDS:
            raise BadRequestError(f"n={n}: must be 1 to {MAX_WORDS}")
        if start is not None and start not in self._windows.starts_of(start):
            raise BadRequestError(f"no window starts at {iso(start)}")
        # A line from a clock that is ahead must not make its window the newest one for ever.
        before = now_ms() + self._windows.future_ms
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
        """The counts of `word` by window, newest first, and the word as it is counted."""
        word = _checked(as_counted(word, self._settings.words))
        # All counts of a word are in one partition, so one worker has the whole answer.
        partition = partition_of_word(word, self._settings.partitions)
        owner = self._peers.owner(partition)
        if owner is None:
            answer = await self._local.word(partition, word)
        else:
            query = {"partition": str(partition), "word": word}
            answer = await self._peers.ask(owner, "api/local/word", query)
            self._check_owner(answer, partition)
        windows = [{**self._bounds(start), "count": count} for start, count in answer["windows"]]
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
        requests = [self._peers.ask(url, path, query) for url in self._peers.others()]
        # With return_exceptions, the first failure leaves no request running unobserved.
        results = await asyncio.gather(own, *requests, return_exceptions=True)
        answers = []
        for result in results:
            if isinstance(result, BaseException):
                raise result
            answers.append(result)
        check_coverage(answers, self._settings.id, self._settings.partitions)
        return answers

    def _check_owner(self, answer: dict[str, Any], partition: int) -> None:
        # The assignment may be outdated: the worker may have lost the partition since.
        if answer["id"] != self._settings.id:
            raise NotServingError(f"{answer['url']} is a worker of another application")
        if answer["generation"] != self._worker.generation or partition not in answer["partitions"]:
            raise NotServingError("a rebalance is under way")

    def _bounds(self, start: int) -> dict[str, Any]:
        end = self._windows.end_of(start)
        return {"start": iso(start), "end": None if end is None else iso(end)}

    def _window(self, start: int, answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
        evidence = [answer["evidence"] for answer in answers]
        final = is_final(start, self._windows, evidence, self._settings.partitions, now_ms())
        return {**self._bounds(start), "final": final}


def _checked(word: str) -> str:
    try:
        size = len(word.encode())
    except UnicodeEncodeError:
        raise BadRequestError("the word is not UTF-8") from None
    if not size:
        raise BadRequestError("the word is empty")
    if size > WORD_BYTES:
        raise BadRequestError(f"the word has {size} bytes; the limit is {WORD_BYTES}")
    return word
