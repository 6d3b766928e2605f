"""While partitions change hands, an answer is right or a 503."""

from __future__ import annotations

import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import psutil

from tests.benchmarks import api as counting

if TYPE_CHECKING:
    from collections.abc import Callable

MINUTE = 60_000


class Text:
    """Lines of one window, and their counts."""

    def __init__(self) -> None:
        self.start = (time.time_ns() // 1_000_000 // MINUTE - 2) * MINUTE
        self.counts = Counter[str]()

    def more(self) -> list[tuple[str, int]]:
        """400 more lines."""
        lines = [f"w{number % 97} w{number % 31} again" for number in range(400)]
        for line in lines:
            self.counts.update(line.split())
        return [(line, self.start + 1000) for line in lines]

    def top(self) -> list[dict[str, Any]]:
        """The expected answer of /api/top."""
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return [{"word": word, "count": count} for word, count in ranked]


def top_answer(worker: Any) -> Any:
    """All top words; None after an orderly refusal."""
    status, answer = worker.get("/api/top?n=1000")
    if status == 200:
        return answer["words"]
    assert status == 503
    assert set(answer) == {"error"}
    return None


def answers_until_top(worker: Any) -> list[Any]:
    """All of a worker's answers up to the first one with words."""
    answers: list[Any] = []

    def is_answered() -> bool:
        answers.append(top_answer(worker))
        return answers[-1] is not None

    worker.wait_until(is_answered)
    return answers


def counted(worker: Any, word: str) -> Any:
    """Counts of a word; None after an orderly refusal."""
    status, answer = worker.get(f"/api/words?{urlencode({'word': word})}", 60)
    if status == 200:
        return [window["count"] for window in answer["windows"]]
    assert status == 503
    return None


def waiting(worker: Any) -> int:
    """Connections that a worker has not accepted yet, or not answered."""
    open_ones = psutil.net_connections("tcp")
    return sum(
        connection.status == psutil.CONN_ESTABLISHED
        and connection.raddr == ("127.0.0.1", worker.port)
        and connection.pid == os.getpid()
        for connection in open_ones
    )


async def test_no_wrong_number_while_a_dead_worker_s_partitions_are_taken_over(
    stream: Any, worker: Callable[..., Any]
) -> None:
    """After a kill -9 the other worker answers 503 until it has taken over, then as before.

    It has a copy of every partition by then: its own, and standby copies of the other's.
    """
    first, second = worker(), worker()
    text = Text()
    await stream.produce(text.more())
    first.wait_until(lambda: top_answer(first) == top_answer(second) == text.top())
    first.wait_until(lambda: stream.copies(0) == stream.copies(1) == {0, 1, 2, 3})
    second.kill()
    answers = answers_until_top(first)
    assert len(answers) > 1
    assert answers[-1] == text.top()
    for word, count in text.counts.items():
        windows = first.json(f"/api/words?{urlencode({'word': word})}")["windows"]
        assert [window["count"] for window in windows] == [count]
    first.wait_until_ready()


async def test_no_wrong_number_while_workers_join_and_die(stream: Any) -> None:
    """A worker joins, another is killed, and each of hundreds of answers is right or a 503."""
    text = counting.CountedText(200)
    await counting.count_text(stream.configure(print=0), text)
    report = await counting.query_through_a_rebalance(stream, text, 300, per_second=60)
    assert report.wrong == []
    assert report.total >= 300
    assert report.unavailable
    first = stream.workers[0]
    for start in text.starts:
        top = first.json(f"/api/top?n=1000&window={start}")["words"]
        assert {item["word"]: item["count"] for item in top} == text.most_common(start, 1000)
    first.wait_until_ready()


async def test_a_worker_that_was_paused_past_its_eviction_returns_no_stale_counts(
    stream: Any, worker: Callable[..., Any]
) -> None:
    """After a pause past the session timeout it refuses until it has a new assignment."""
    first, second = worker(), worker()
    text = Text()
    await stream.produce(text.more())
    first.wait_until(lambda: top_answer(first) == top_answer(second) == text.top())
    second.pause()
    first.wait_until(lambda: top_answer(first) is not None)
    await stream.produce(text.more())
    first.wait_until(lambda: top_answer(first) == text.top())
    with ThreadPoolExecutor(len(text.counts)) as asking:
        # These requests arrive while it is paused, so it answers them first.
        found = [asking.submit(counted, second, word) for word in text.counts]
        first.wait_until(lambda: waiting(second) == len(found))
        second.resume()
    for word, answer in zip(text.counts, found, strict=True):
        assert answer.result() in (None, [text.counts[word]])
    assert answers_until_top(second)[-1] == text.top()


async def test_a_worker_answers_before_it_works(stream: Any) -> None:
    """From its start a worker is live and not ready, and returns no counts."""
    starting = stream.start(ready=False)
    status, answer = starting.wait_until(lambda: (got := starting.get("/health/ready"))[0] and got)
    assert (status, answer["ready"]) == (503, False)
    assert answer["reasons"]
    assert starting.get("/health/live")[0] == 200
    starting.wait_until_ready()
    assert starting.json("/api/top") == {"window": None, "words": []}
    assert starting.stop() == 0


async def test_running_totals_are_one_window_without_end(
    stream: Any, worker: Callable[..., Any]
) -> None:
    """With WORDCOUNT_WINDOW=none there is one window from 1970 without end, never final."""
    only = worker(window="none", print=0)
    await stream.produce([("to be or not to be", 1_000), ("to be", time.time_ns() // 1_000_000)])
    window = {"start": "1970-01-01T00:00:00Z", "end": None}
    only.wait_until(
        lambda: only.json("/api/words/to") == {"word": "to", "windows": [{**window, "count": 3}]}
    )
    top = only.json("/api/top?n=2&window=0")
    assert top == {
        "window": {**window, "final": False},
        "words": [{"word": "be", "count": 3}, {"word": "to", "count": 3}],
    }
    assert only.json("/api/windows") == {
        "windows": [{**window, "final": False, "words": 8, "distinct": 4}]
    }
    assert only.get("/api/top?window=60000")[0] == 400
    assert "Time:" not in only.output
