"""Measures rows/s into an embedded Cassandra by grouping key, batch bytes and concurrent writes.

`python -m tests.benchmarks.cassandra_writes` prints one line a combination. It compares the
defaults with one row a statement and, if the extra `bench` is installed, with
spark-cassandra-connector on the same rows. It writes the table and the plot to build/. Options:
`--rows N`, `--runs N`, `--no-spark`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from operator import attrgetter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import click
import psutil
from cassandra.concurrent import execute_concurrent_with_args

from app.cassandra.connecting import connect
from app.cassandra.rows import Row
from app.cassandra.schema import apply
from app.cassandra.writer import CassandraWriter
from app.embedded import EmbeddedCassandra
from app.embedded.java import find_java
from app.memory import collect_seldom
from app.settings import Settings
from tests.benchmarks.cassandra_plot import draw
from tests.benchmarks.jars import LOCK, SPARK
from tests.benchmarks.report import machine
from tests.jars import jars_of
from tests.write_events import WriteEvents

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from app.cassandra.session import CassandraSession

KEYS = ("none", "replica_set", "partition")
SIZES = ("1KiB", "2KiB", "5KiB", "16KiB")
AT_ONCE = ("1", "4", "16", "32")
WINDOWS = 20
CONCURRENCY = 128
"""Concurrent single statements: more gain nothing."""

_FULL_COMPILER = ("-XX:TieredStopAtLevel=4",)
Combination = tuple[str, str, str]


def rows_of(count: int, started_ms: int, windows: int = WINDOWS) -> list[Row]:
    """`count` rows of as many words in `windows` windows each, one minute a window."""
    return [
        Row(f"word{number // windows:07d}", start, start + 60_000, number, started_ms * 1000)
        for number in range(count)
        for start in [started_ms + 60_000 * (number % windows)]
    ]


def settings_of(contact: str, options: dict[str, str]) -> Settings:
    """The default settings, overridden by `options` (names without their prefix)."""
    variables = {f"WORDCOUNT_{name}": value for name, value in options.items()}
    return Settings.read({"WORDCOUNT_CASSANDRA": contact, **variables})


class Cost(NamedTuple):
    """The cost of writing: rows a second, and µs of CPU a row, in the writer and in the server."""

    rate: float
    client_us: float
    server_us: float


class WriteBench:
    """Measurements against one server; every write begins with an empty table."""

    def __init__(self, session: CassandraSession, server: EmbeddedCassandra) -> None:
        self.session = session
        self.server = server
        self.table = "streaming_test.words"

    async def write(self, options: dict[str, str], rows: list[Row]) -> Cost:
        """Write `rows` with the application's writer."""
        events = WriteEvents()
        settings = settings_of(self.server.address, options)
        writer = await CassandraWriter.create(self.session, settings, events)

        async def write() -> None:
            result = await writer.write(rows)
            if events.retries or result.unwritten:
                raise SystemExit(f"{len(result.unwritten)} rows left: {result.faults}")

        return await self._timed(write, len(rows))

    async def write_plainly(self, rows: list[Row]) -> Cost:
        """Write `rows` as the driver's documentation does: one row a statement, many at once."""
        prepared = await self.session.prepare(
            f"INSERT INTO {self.table} (word, window_start, count) VALUES (?, ?, ?) "
            "USING TIMESTAMP ?"
        )
        values = [(r.word, r.window_start_ms, r.count, r.timestamp_us) for r in rows]

        async def write() -> None:
            await asyncio.to_thread(
                execute_concurrent_with_args,
                self.session.driver,
                prepared,
                values,
                concurrency=CONCURRENCY,
            )

        return await self._timed(write, len(rows))

    async def _timed(self, write: Callable[[], Awaitable[None]], count: int) -> Cost:
        await self.session.execute(f"TRUNCATE {self.table}", timeout_seconds=30)
        gc.collect()  # rows of the write before this one
        processes = psutil.Process(), psutil.Process(self.server.pid)
        cpu = [_cpu_s(process) for process in processes]
        began = time.perf_counter()
        await write()
        seconds = time.perf_counter() - began
        used = [_cpu_s(process) - before for process, before in zip(processes, cpu, strict=True)]
        return Cost(count / seconds, *(cpu / count * 1e6 for cpu in used))

    async def grid(self, rows: list[Row], runs: int) -> dict[Combination, Cost]:
        """Every combination: the median of `runs` runs, taken in turn."""
        costs: dict[Combination, list[Cost]] = {}
        for _ in range(runs):
            for key, size, number in itertools.product(KEYS, SIZES, AT_ONCE):
                options = {
                    "OUTPUT_BATCH_GROUPING_KEY": key,
                    "OUTPUT_BATCH_BYTES": size,
                    "OUTPUT_CONCURRENT_WRITES": number,
                }
                costs.setdefault((key, size, number), []).append(await self.write(options, rows))
        return {name: _median(of_name) for name, of_name in costs.items()}

    async def compare(self, rows: list[Row], runs: int) -> dict[str, Cost]:
        """Measure the defaults and one row a statement, in turn, on the same rows."""
        single = {"OUTPUT_BATCH_ROWS": "1", "OUTPUT_CONCURRENT_WRITES": str(CONCURRENCY)}
        ways: dict[str, Callable[[], Awaitable[Cost]]] = {
            "this app, by default": lambda: self.write({}, rows),
            "this app, rows in order of windows": lambda: self.write(
                {}, sorted(rows, key=attrgetter("window_start_ms"))
            ),
            "this app, batches of 16 KiB": lambda: self.write(
                {"OUTPUT_BATCH_BYTES": "16KiB"}, rows
            ),
            "this app, one row a statement": lambda: self.write(single, rows),
            "plain driver, one row a statement": lambda: self.write_plainly(rows),
        }
        costs: dict[str, list[Cost]] = {name: [] for name in ways}
        for _ in range(runs):
            for name, way in ways.items():
                costs[name].append(await way())
        return {name: _median(of_name) for name, of_name in costs.items()}


def spark(server: EmbeddedCassandra, count: int, windows: int, runs: int) -> float:
    """Measure rows/s of spark-cassandra-connector with its defaults; two writes warm up."""
    with tempfile.TemporaryDirectory() as folder:
        parameters = {
            "rows": count,
            "windows": windows,
            "times": runs + 2,
            "started_ms": int(time.time()) * 1000,
            "keyspace": "streaming_test",
            "settings": {
                "spark.jars": ",".join(str(jar) for jar in jars_of(LOCK, SPARK)),
                "spark.driver.memory": "2g",
                "spark.driver.host": "127.0.0.1",
                "spark.ui.enabled": "false",
                "spark.ui.showConsoleProgress": "false",
                "spark.sql.session.timeZone": "UTC",
                "spark.local.dir": folder,
                "spark.sql.warehouse.dir": folder,
                "spark.cassandra.connection.host": server.host,
                "spark.cassandra.connection.port": str(server.port),
            },
        }
        script = Path(__file__).with_name("spark_writes.py")
        done = subprocess.run(
            [sys.executable, str(script), json.dumps(parameters)],
            env={
                **os.environ,
                "JAVA_HOME": str(find_java().resolve().parent.parent),
                "SPARK_LOCAL_IP": "127.0.0.1",
                "PYSPARK_PYTHON": sys.executable,
            },
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    reports = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    seconds: list[float] = [one["seconds"] for one in reports[2:]]
    return median(count / each for each in seconds)


async def bench(server: EmbeddedCassandra, arguments: argparse.Namespace) -> None:
    """Measure, print, write and draw."""
    started_ms = int(time.time()) * 1000
    rows = rows_of(arguments.rows, started_ms)
    async with await connect(settings_of(server.address, {})) as session:
        await apply(session, settings_of(server.address, {}))
        measured = WriteBench(session, server)
        for _ in range(4):  # warm up the server's compiler
            await measured.write({}, rows)
            await measured.write({"OUTPUT_BATCH_ROWS": "1"}, rows[: arguments.rows // 4])
        grid = {} if arguments.no_grid else await measured.grid(rows, arguments.runs)
        same = {
            windows: await measured.compare(
                rows_of(arguments.same_rows, started_ms, windows), arguments.runs
            )
            for windows in (WINDOWS, 1)
        }
        if not arguments.no_spark and importlib.util.find_spec("pyspark"):
            for windows, costs in same.items():
                rate = await asyncio.to_thread(
                    spark, server, arguments.same_rows, windows, arguments.runs
                )
                costs["spark-cassandra-connector"] = Cost(rate, 0.0, 0.0)
            found = await session.execute(
                f"SELECT count(*) FROM {measured.table}", timeout_seconds=60
            )
            if found[0][0] < arguments.same_rows:
                raise SystemExit("Spark has not written all rows")
    text = "\n".join(_lines(grid, same))
    click.echo(text)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "cassandra_writes.md").write_text(text + "\n", encoding="utf-8")
    if grid:
        on = machine()
        title = (
            f"Rows/s into one embedded Cassandra 5 by the bytes of a batch; {on['cpus']} CPUs for "
            f"it and the writer; {arguments.rows:,} rows, {WINDOWS} windows a word"
        )
        others = {
            f"{arguments.same_rows:,} rows, {windows} window{'s' if windows > 1 else ''} a word": {
                name: cost.rate for name, cost in costs.items()
            }
            for windows, costs in same.items()
        }
        rates = {name: cost.rate for name, cost in grid.items()}
        draw(arguments.output / "cassandra_writes.png", rates, others, title)


def _lines(grid: dict[Combination, Cost], same: dict[int, dict[str, Cost]]) -> Iterator[str]:
    """Return the tables of both parts as Markdown."""
    yield "| grouping | bytes | at once | rows/s | µs of CPU a row: writer | server |"
    yield "|---|---|---|---|---|---|"
    for (key, size, number), cost in grid.items():
        yield (
            f"| {key} | {size} | {number} | {cost.rate:,.0f} | {cost.client_us:.1f} "
            f"| {cost.server_us:.1f} |"
        )
    for windows, costs in same.items():
        single = costs["this app, one row a statement"]
        yield ""
        yield f"| {windows} windows a word | rows/s | times | µs of CPU a row: writer | server |"
        yield "|---|---|---|---|---|"
        for name, cost in costs.items():
            used = (f"{us:.1f}" if us else "" for us in (cost.client_us, cost.server_us))
            yield (
                f"| {name} | {cost.rate:,.0f} | {cost.rate / single.rate:.1f} "
                f"| {' | '.join(used)} |"
            )


def _median(costs: list[Cost]) -> Cost:
    return Cost(*map(median, zip(*costs, strict=True)))


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    """Measure on an own server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, help="rows of each write of the grid")
    parser.add_argument("--same-rows", type=int, default=60_000, help="rows of each compared write")
    parser.add_argument("--runs", type=int, default=3, help="runs, of which the median counts")
    parser.add_argument("--no-grid", action="store_true")
    parser.add_argument("--no-spark", action="store_true")
    parser.add_argument("--output", type=Path, default=Path("build"))
    arguments = parser.parse_args()
    collect_seldom()  # as in a worker
    with EmbeddedCassandra(heap="1g", java_options=_FULL_COMPILER) as server:
        asyncio.run(bench(server, arguments))


if __name__ == "__main__":
    main()
