"""Rows a second into an embedded Cassandra, by grouping key, batch bytes and concurrent writes.

Run it with `python tests/benchmarks/cassandra_writes.py [rows]`; it prints one line a combination
and compares it with one row a statement.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import click
import psutil

from app.cassandra.rows import Row
from app.cassandra.schema import apply
from app.cassandra.session import connect
from app.cassandra.writer import CassandraWriter
from app.embedded import EmbeddedCassandra
from app.settings import Settings

if TYPE_CHECKING:
    from app.cassandra.session import CassandraSession

SINGLE = ("one row each", "", "128")
COMBINATIONS = {
    SINGLE: {"OUTPUT_BATCH_ROWS": "1", "OUTPUT_CONCURRENT_WRITES": "128"},
    ("10 rows each", "", "16"): {"OUTPUT_BATCH_ROWS": "10", "OUTPUT_CONCURRENT_WRITES": "16"},
} | {
    (key, size, concurrent): {
        "OUTPUT_BATCH_GROUPING_KEY": key,
        "OUTPUT_BATCH_BYTES": size,
        "OUTPUT_CONCURRENT_WRITES": concurrent,
    }
    for key, size, concurrent in itertools.product(
        ("replica_set", "partition"),
        ("1KiB", "4KiB", "5KiB", "16KiB"),
        ("1", "8", "16", "32"),
    )
}
WINDOWS = 20


def rows_of(count: int, started_ms: int) -> list[Row]:
    """`count` rows of as many words in 20 windows each, as a burst over 20 minutes leaves them."""
    return [
        Row(f"word{number // WINDOWS:07d}", start, start + 60_000, number, started_ms * 1000)
        for number in range(count)
        for start in [started_ms + 60_000 * (number % WINDOWS)]
    ]


def settings_of(contact: str, options: dict[str, str]) -> Settings:
    """The defaults, with `options` (names without their prefix) instead of some."""
    given = {f"WORDCOUNT_{name}": value for name, value in options.items()}
    return Settings.read({"WORDCOUNT_CASSANDRA": contact, **given})


class Cost(NamedTuple):
    """What writing took: rows a second, and µs of CPU a row, here and in the server."""

    rate: float
    client_us: float
    server_us: float


def cpu_s(process: psutil.Process) -> float:
    """Seconds of CPU that a process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def measure(
    session: CassandraSession, server: EmbeddedCassandra, options: dict[str, str], count: int
) -> Cost:
    """Write `count` rows into an empty table."""
    settings = settings_of(server.address, options)
    writer = await CassandraWriter.create(session, settings)
    await session.execute(f"TRUNCATE {writer.target.name}", timeout_s=30)
    rows = rows_of(count, int(time.time()) * 1000)
    processes = psutil.Process(), psutil.Process(server.pid)
    cpu = [cpu_s(process) for process in processes]
    began = time.perf_counter()
    result = await writer.write(rows)
    seconds = time.perf_counter() - began
    used = [cpu_s(process) - before for process, before in zip(processes, cpu, strict=True)]
    if result.retries or not result.complete:
        raise SystemExit(f"{len(result.unwritten)} rows were not written: {result.last_fault}")
    return Cost(count / seconds, *(cpu / count * 1e6 for cpu in used))


async def bench(server: EmbeddedCassandra, count: int) -> None:
    """Print the table: of each combination the median of five runs, taken in turn."""
    settings = settings_of(server.address, {})
    async with await connect(settings) as session:
        await apply(session, settings)
        for _ in range(5):  # let the server's compiler see the work first
            await measure(session, server, {}, count)
        costs: dict[tuple[str, str, str], list[Cost]] = {name: [] for name in COMBINATIONS}
        for _ in range(5):
            for name, options in COMBINATIONS.items():
                rows = max(1000, count // 4) if name == SINGLE else count
                costs[name].append(await measure(session, server, options, rows))
    medians = {name: Cost(*map(median, zip(*runs, strict=True))) for name, runs in costs.items()}
    single = medians[SINGLE]
    click.echo(f"{'':33} {'':16} µs of CPU a row: times less")
    click.echo(
        f"{'grouping':14} {'bytes':>6} {'at once':>7} {'rows/s':>8} {'times':>6} "
        f"{'client':>7} {'server':>7} {'both':>6}"
    )
    for (key, size, at_once), cost in medians.items():
        both = (single.client_us + single.server_us) / (cost.client_us + cost.server_us)
        click.echo(
            f"{key:14} {size:>6} {at_once:>7} {cost.rate:>8,.0f} {cost.rate / single.rate:>6.1f} "
            f"{cost.client_us:>7.1f} {cost.server_us:>7.1f} {both:>6.1f}"
        )


def main() -> None:
    """Measure on a server of its own."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with EmbeddedCassandra() as server:
        asyncio.run(bench(server, count))


if __name__ == "__main__":
    main()
