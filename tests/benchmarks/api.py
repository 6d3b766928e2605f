"""Checks the web's answers while one worker joins and another is killed, and times them.

    python -m tests.benchmarks.api [--requests 10000]

Two workers count a text. Then clients send concurrent requests to all live workers, while a third
worker joins and one of the first two is killed. Every answer with status 200 must equal the text's
counts. The result is a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
import click

from tests.integration.conftest import Stream

if TYPE_CHECKING:
    from tests.workers import WorkerProcess

__all__ = ["CountedText", "Report", "count_text", "query_through_a_rebalance"]

MINUTE = 60_000
AT_ONCE = 16
"""Concurrent requests."""

LONGEST_SECONDS = 20.0
"""Time limit of a request."""


class CountedText:
    """Lines in two past windows, and their counts."""

    def __init__(self, lines: int = 2000) -> None:
        newest = (time.time_ns() // 1_000_000 // MINUTE - 4) * MINUTE
        self.starts = (newest, newest - MINUTE)
        self.counts = {start: Counter[str]() for start in self.starts}
        self.lines: list[tuple[str, int]] = []
        rng = random.Random(1)
        for start in reversed(self.starts):
            for _ in range(lines):
                words = [f"w{int(rng.paretovariate(0.7)) % 2000}" for _ in range(8)]
                self.counts[start].update(words)
                self.lines.append((" ".join(words), start + rng.randrange(MINUTE)))

    def most_common(self, start: int, n: int) -> dict[str, int]:
        """The most frequent words of a window, in order, with their counts."""
        ranked = sorted(self.counts[start].items(), key=lambda item: (-item[1], item[0]))
        return dict(ranked[:n])

    def request(self, rng: random.Random) -> tuple[str, Any]:
        """Return a path and the expected content of its answer."""
        kind = rng.choice(("top", "word", "windows"))
        if kind == "top":
            start, n = rng.choice(self.starts), rng.choice((1, 20, 1000))
            ranked = self.most_common(start, n).items()
            words = [{"word": word, "count": count} for word, count in ranked]
            return f"/api/top?n={n}&window={start}", words
        if kind == "windows":
            totals = [(_iso(s), self.counts[s].total(), len(self.counts[s])) for s in self.starts]
            return "/api/windows", totals
        word = f"w{rng.randrange(2100)}"
        found = [(_iso(s), self.counts[s][word]) for s in self.starts if word in self.counts[s]]
        return f"/api/words/{quote(word)}", found


def answer_content(path: str, answer: Any) -> Any:
    """Return the checked part of an answer, without `final`, which changes with time."""
    if path.startswith("/api/top"):
        return answer["words"]
    if path == "/api/windows":
        return [(w["start"], w["words"], w["distinct"]) for w in answer["windows"]]
    return [(w["start"], w["count"]) for w in answer["windows"]]


@dataclass
class Report:
    """The outcomes of all requests; times in seconds."""

    right: list[float] = field(default_factory=list)
    unavailable: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    cut_off: int = 0

    @property
    def total(self) -> int:
        """The number of requests, without those that the kill cut off."""
        return len(self.right) + len(self.unavailable) + len(self.wrong)

    def figures(self) -> dict[str, Any]:
        """Counts, and quantiles in milliseconds."""
        return {
            "requests": self.total,
            "right": len(self.right),
            "unavailable_503": len(self.unavailable),
            "wrong": len(self.wrong),
            "cut_off_by_the_kill": self.cut_off,
            "right_ms": _quantiles(self.right),
            "all_ms": _quantiles(self.right + self.unavailable),
        }


async def count_text(stream: Stream, text: CountedText) -> None:
    """Start two workers and let them count the text."""
    workers = [await asyncio.to_thread(stream.start) for _ in range(2)]
    await stream.produce(text.lines)
    total = sum(counts.total() for counts in text.counts.values())

    def counted() -> bool:
        answers = [worker.json("/api/windows") for worker in workers]
        return all(
            answer and sum(window["words"] for window in answer["windows"]) == total
            for answer in answers
        )

    await asyncio.to_thread(workers[0].wait_until, counted)


async def query_through_a_rebalance(
    stream: Stream, text: CountedText, requests: int, per_second: float = math.inf
) -> Report:
    """Send at least `requests` requests, and continue until both changes are over."""
    report, there = Report(), list(stream.workers)
    changing = asyncio.create_task(_change(stream, there))
    rng = random.Random(2)

    async def send() -> None:
        while report.total < requests or not changing.done():
            worker = rng.choice(there)
            began = time.monotonic()
            await _send(session, worker, text.request(rng), report, there)
            await asyncio.sleep(max(0.0, began + AT_ONCE / per_second - time.monotonic()))

    timeout = aiohttp.ClientTimeout(total=LONGEST_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        await asyncio.gather(*(send() for _ in range(AT_ONCE)))
    await changing
    return report


async def _send(
    session: aiohttp.ClientSession,
    worker: WorkerProcess,
    request: tuple[str, Any],
    report: Report,
    there: list[WorkerProcess],
) -> None:
    path, expected = request
    began = time.monotonic()
    try:
        async with session.get(worker.url + path) as response:
            answer, status = await response.json(), response.status
            orderly = "Retry-After" in response.headers and set(answer) == {"error"}
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        if worker in there:
            report.wrong.append(f"{path}: {error!r}")
        else:
            report.cut_off += 1  # the kill cut this request off
        return
    seconds = time.monotonic() - began
    if status == 200 and answer_content(path, answer) == expected:
        report.right.append(seconds)
    elif status == 503 and orderly:
        report.unavailable.append(seconds)
    else:
        report.wrong.append(f"{path}: {status} {answer!r:.200}, not {expected!r:.200}")


async def _change(stream: Stream, there: list[WorkerProcess]) -> None:
    """Let a third worker join; kill the second; wait until the others have taken over."""
    third = await asyncio.to_thread(stream.start, ready=False)
    await asyncio.to_thread(third.wait_until, lambda: third.get("/health/live")[0] == 200)
    there.append(third)
    await asyncio.to_thread(third.wait_until_ready)
    victim = there.pop(1)
    await asyncio.to_thread(victim.kill)
    for worker in there:
        await asyncio.to_thread(worker.wait_until, partial(worker.json, "/api/top"))


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds) or [0.0]
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {
        name: round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)
        for name, share in shares.items()
    }


@click.command()
@click.option("--requests", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--per-second", type=float, default=math.inf, help="Maximum requests a second.")
def main(requests: int, per_second: float) -> None:
    """Send requests during a rebalance, on own servers, and print the outcomes."""
    from app.embedded import EmbeddedCassandra, EmbeddedKafka, close_together, start_together
    from tests.conftest import Servers

    servers = Servers(EmbeddedKafka(), EmbeddedCassandra())
    with tempfile.TemporaryDirectory() as folder:
        try:
            start_together(*servers)
            stream = Stream(servers, "api", Path(folder)).configure(print=0)
            report = asyncio.run(_run(stream, requests, per_second))
            stream.close()
        finally:
            close_together(*servers)
    click.echo(json.dumps(report.figures()))
    for line in report.wrong[:10]:
        click.echo(line, err=True)
    raise SystemExit(1 if report.wrong else 0)


async def _run(stream: Stream, requests: int, per_second: float) -> Report:
    text = CountedText()
    await count_text(stream, text)
    return await query_through_a_rebalance(stream, text, requests, per_second)


if __name__ == "__main__":
    main()
