"""Measures the cost of open pages: lines/s without and with event streams, in turns.

    python -m tests.benchmarks.pages [--pages 100] [--pairs 3] [--lines 4000000]

A separate process on the same machine reads the streams, as browsers do. The result is a line of
JSON.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import click
from rich.console import Console

from tests.benchmarks.display import progress_bar
from tests.benchmarks.lines import Text
from tests.benchmarks.measure import COUNTED, SAVED, Run, measure
from tests.benchmarks.servers import Bench
from tests.benchmarks.this_app import ThisApp

__all__ = ["WatchedWorker", "watch"]

MODULE = "tests.benchmarks.pages"


@dataclass
class WatchedWorker(ThisApp):
    """A worker with `pages` open streams; `read` holds the streams' figures after the stop."""

    pages: int = 0
    read: dict[str, float] = field(default_factory=dict)
    _watchers: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the worker, then the reader of its streams."""
        super().start()
        if self.pages:
            port = str(self.started[0].port)
            self._watchers = subprocess.Popen(
                [sys.executable, "-m", MODULE, "--watch", port, str(self.pages)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )

    def stop(self) -> None:
        """Stop the worker and the reader."""
        if self._watchers is not None:
            output, _ = self._watchers.communicate()  # the reader ends at the end of its input
            self.read = json.loads(output)
        super().stop()


async def watch(port: int, pages: int) -> dict[str, float]:
    """Read `pages` streams of the worker at `port` until standard input ends."""
    found = {"pages": 0.0, "events": 0.0, "bytes": 0.0}

    async def one() -> None:
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                found["pages"] += 1
                while part := await reader.read(1 << 16):
                    found["bytes"] += len(part)
                    found["events"] += part.count(b"event: state\n")
                found["pages"] -= 1
            await asyncio.sleep(0.2)  # the worker has not started yet, or has ended

    reading = [asyncio.create_task(one()) for _ in range(pages)]
    began = time.monotonic()
    await asyncio.to_thread(sys.stdin.buffer.read)
    for task in reading:
        task.cancel()
    return {**found, "seconds": round(time.monotonic() - began, 1)}


@click.command()
@click.option("--pages", default=100, show_default=True, help="Number of open streams.")
@click.option(
    "--pairs", default=3, show_default=True, help="Pairs of runs, without and with streams."
)
@click.option("--lines", default=4_000_000, show_default=True, help="Lines of each run.")
@click.option("--saved", is_flag=True, help="Save to Cassandra too; default: counting alone.")
def main(pages: int, pairs: int, lines: int, saved: bool) -> None:
    """Measure in turns, and print each run and the result."""
    console = Console(stderr=True)
    mode = SAVED if saved else COUNTED
    runs: dict[int, list[Run]] = {0: [], pages: []}
    read: dict[str, float] = {}
    with Bench(console) as bench:
        text = bench.fill("pages-lines", Text(lines + lines // 5), 4)
        if saved:
            bench.need_cassandra()
        for turn in range(2 * pairs):
            # without, with, with, without, …: a drift affects both alike
            open_pages = (0, pages, pages, 0)[turn % 4]
            with bench.job("pages-lines", text, lines // 5, 4) as job:
                system = WatchedWorker(job, mode=mode, pages=open_pages)
                with progress_bar(console, f"{open_pages} pages", text.total) as advance:
                    runs[open_pages].append(measure(system, advance))
            run = runs[open_pages][-1]
            read = system.read or read
            console.print(f"{open_pages} pages: {run.lines_per_s:,.0f} lines/s, exact: {run.exact}")
    click.echo(json.dumps(_figures(runs, pages, mode, read)))


def _figures(
    runs: dict[int, list[Run]], pages: int, mode: str, read: dict[str, float]
) -> dict[str, Any]:
    without, watched = (
        statistics.median(run.lines_per_s for run in runs[count]) for count in (0, pages)
    )
    return {
        "mode": mode,
        "pages": pages,
        "lines_per_s_without": [run.lines_per_s for run in runs[0]],
        "lines_per_s_with": [run.lines_per_s for run in runs[pages]],
        "cpu_s_per_million_without": [round(run.cpu_per_million, 3) for run in runs[0]],
        "cpu_s_per_million_with": [round(run.cpu_per_million, 3) for run in runs[pages]],
        "cost_percent": round(100 * (1 - watched / without), 2),
        "exact": all(run.exact for of in runs.values() for run in of),
        "watchers": read,
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--watch"]:
        print(json.dumps(asyncio.run(watch(int(sys.argv[2]), int(sys.argv[3])))))  # noqa: T201
    else:
        main()
