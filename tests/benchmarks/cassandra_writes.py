"""Rows a second into an embedded Cassandra, by grouping key, batch bytes and concurrent writes.

Run it with `python tests/benchmarks/cassandra_writes.py [rows]`; it prints one line a combination
and compares it with one row a statement.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import time
from typing import TYPE_CHECKING

import click

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
        ("none", "replica_set", "partition"),
        ("1KiB", "4KiB", "5KiB", "16KiB"),
        ("1", "4", "8", "16", "32"),
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


async def measure(
    session: CassandraSession, contact: str, options: dict[str, str], count: int
) -> tuple[float, float]:
    """Rows a second, and µs of this process's CPU a row, into an empty table."""
    settings = settings_of(contact, options)
    writer = await CassandraWriter.create(session, settings)
    await session.execute(f"TRUNCATE {writer.shape.name}", timeout_s=30)
    rows = rows_of(count, int(time.time()) * 1000)
    began, began_cpu = time.perf_counter(), time.process_time()
    result = await writer.write(rows)
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    if result.retries or not result.complete:
        raise SystemExit(f"{len(result.unwritten)} rows were not written: {result.last_fault}")
    return count / seconds, cpu / count * 1e6


async def bench(contact: str, count: int) -> None:
    """Print the table: of each combination the best of three runs, taken in turn."""
    settings = settings_of(contact, {})
    async with await connect(settings) as session:
        await apply(session, settings)
        for _ in range(3):  # let the server's compiler see the work first
            await measure(session, contact, {}, count)
        best = dict.fromkeys(COMBINATIONS, (0.0, 0.0))
        for _ in range(3):
            for name, options in COMBINATIONS.items():
                rows = max(1000, count // 5) if name == SINGLE else count
                best[name] = max(best[name], await measure(session, contact, options, rows))
    click.echo(
        f"{'grouping':12} {'bytes':>6} {'at once':>7} {'rows/s':>8} {'times':>5} {'µs CPU':>6}"
    )
    for (key, size, concurrent), (rate, cpu_us) in best.items():
        times = rate / best[SINGLE][0]
        click.echo(f"{key:12} {size:>6} {concurrent:>7} {rate:>8,.0f} {times:>5.1f} {cpu_us:>6.1f}")


def main() -> None:
    """Measure on a server of its own, or on the one that WORDCOUNT_CASSANDRA names."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    contact = os.environ.get("WORDCOUNT_CASSANDRA")
    if contact:
        asyncio.run(bench(contact, count))
        return
    with EmbeddedCassandra() as server:
        asyncio.run(bench(server.address, count))


if __name__ == "__main__":
    main()
