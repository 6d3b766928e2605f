"""More measurements of this app alone: `SWEEP=scaling`, `=recovery`, `=latency`."""

from __future__ import annotations

import asyncio
import json
import time
from statistics import quantiles
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer
from rich.console import Console
from rich.table import Table

from tests.benchmarks import report
from tests.benchmarks.display import progress_bar
from tests.benchmarks.lines import Text
from tests.benchmarks.measure import COUNTED, SAVED, BenchError, measure
from tests.benchmarks.this_app import ThisApp

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tests.benchmarks.measure import Job
    from tests.benchmarks.servers import Bench

__all__ = ["SWEEPS"]

RECOVERY_WINDOWS = 30
"""Windows of the text for recovery: about a million rows with 2,000,000 lines."""

LATENCY_LINES_PER_S = 1000
LATENCY_SECONDS = 60.0
PROBE_SECONDS = 0.25
"""Time between two lines with a unique word."""

LOST_SECONDS = 60.0


def scaling(bench: Bench, arguments: argparse.Namespace) -> None:
    """Measure lines/s by workers, partitions and distinct words, counting alone."""
    combinations = [(workers, 4, arguments.distinct) for workers in (1, 2, 4)]
    combinations += [(1, 16, arguments.distinct), (1, 4, 10_000), (1, 4, 10_000_000)]
    rows = []
    filled: dict[tuple[int, int], Text] = {}
    for workers, partitions, distinct in combinations:
        topic = f"bench-lines-{partitions}-{distinct}"
        if (partitions, distinct) not in filled:
            text = Text(arguments.lines + arguments.lines // 5, distinct)
            filled[partitions, distinct] = bench.fill(topic, text, partitions)
        text = filled[partitions, distinct]
        what = f"{workers} worker(s), {partitions} partitions, {distinct:,} words"
        with (
            bench.job(topic, text, arguments.lines // 5, partitions) as job,
            progress_bar(bench.console, what, text.total) as advance,
        ):
            run = measure(ThisApp(job, mode=COUNTED, workers=workers), advance)
        rows.append(
            {
                "workers": workers,
                "partitions": partitions,
                "distinct words": distinct,
                "rows": len(text.counts()),
                "lines/s": round(run.lines_per_s),
                "CPU s per M lines": round(run.cpu_per_million, 1),
                "peak MiB": round(run.peak_mib),
                "exact": run.exact,
            }
        )
    _write(arguments.output, "scaling", rows)


def recovery(bench: Bench, arguments: argparse.Namespace) -> None:
    """Measure the seconds until a worker is ready, with its data and with an empty directory."""
    text = bench.fill("bench-lines", Text(arguments.lines, arguments.distinct, RECOVERY_WINDOWS), 4)
    rows = len(text.counts())
    with bench.job("bench-lines", text, arguments.lines // 5, 4) as job:
        with progress_bar(bench.console, f"counting {rows:,} rows", text.total) as advance:
            run = measure(ThisApp(job, mode=COUNTED), advance)
        took = {}
        for name, folder in (("kept", "data-0"), ("empty", "data-new")):
            bench.console.print(f"starting a worker, data directory {name}")
            took[name] = _seconds_to_ready(job, job.folder / folder, text.total)
    extra = max(took["empty"] - took["kept"], 0.01)
    found = {
        "rows": rows,
        "start with its data, s": round(took["kept"], 1),
        "start with an empty directory, s": round(took["empty"], 1),
        "recovered rows/s": round(rows / extra),
        "exact": run.exact,
    }
    _write(arguments.output, "recovery", [found])


def _seconds_to_ready(job: Job, data: Path, lines: int) -> float:
    """Return the seconds from a worker's start until it serves the whole table."""
    system = ThisApp(job, mode=COUNTED)
    began = time.monotonic()
    try:
        system.start_worker(data)
        while system.progress().lines < lines:
            if not system.processes[0].running:
                raise BenchError(f"the worker has ended by itself:\n{system.log_tail()}")
            time.sleep(0.05)
        return time.monotonic() - began
    finally:
        system.stop()


def latency(bench: Bench, arguments: argparse.Namespace) -> None:
    """Measure the milliseconds from producing a line to reading its word in Cassandra."""
    bench.need_cassandra()
    with bench.job("bench-latency", Text(0), 0, 4) as job:
        job.topics.create(job.topic)
        system = ThisApp(job, mode=SAVED, settings={"WORDCOUNT_FLUSH_INTERVAL": arguments.flush})
        try:
            system.start()
            while not system.progress().all_at_work:
                time.sleep(0.1)
            bench.console.print(f"producing for {LATENCY_SECONDS:.0f} s")
            found = asyncio.run(_latencies(job))
        finally:
            system.stop()
    cuts = quantiles(found, n=100)
    row = {
        "lines/s": LATENCY_LINES_PER_S,
        "flush interval": arguments.flush,
        "probes": len(found),
        **{f"p{p} ms": round(cuts[p - 1] * 1000) for p in (50, 90, 99)},
        "max ms": round(max(found) * 1000),
    }
    _write(arguments.output, "latency", [row])


async def _latencies(job: Job) -> list[float]:
    """Return the seconds of each probe without the first few, which fall into the warm-up."""
    from cassandra.cluster import Cluster

    words = Text(LATENCY_LINES_PER_S).since(time.time())
    lines, _ = next(words.chunks())
    sent: dict[str, float] = {}
    found: list[float] = []
    with Cluster([job.cassandra.host], port=job.cassandra.port) as cluster:
        session = cluster.connect(job.keyspace)
        query = session.prepare("SELECT count FROM words WHERE word = ? LIMIT 1")

        def look() -> None:
            for word, at in list(sent.items()):
                if session.execute(query, [word]).one():
                    found.append(time.monotonic() - at)
                    del sent[word]

        async with AIOKafkaProducer(bootstrap_servers=job.kafka.address, linger_ms=5) as producer:
            producing = asyncio.create_task(_produce(producer, job.topic, lines, sent))
            ended = time.monotonic() + LATENCY_SECONDS + LOST_SECONDS
            while not producing.done() or sent:
                await asyncio.to_thread(look)
                await asyncio.sleep(0.01)
                if time.monotonic() > ended:
                    raise BenchError(f"{len(sent)} lines never reached Cassandra")
            await producing
    return found[len(found) // 5 :]


async def _produce(
    producer: AIOKafkaProducer, topic: str, lines: Sequence[bytes], sent: dict[str, float]
) -> None:
    began = time.monotonic()
    number = probes = 0
    while (passed := time.monotonic() - began) < LATENCY_SECONDS:
        while number < passed * LATENCY_LINES_PER_S:
            await producer.send(topic, lines[number % len(lines)])
            number += 1
        if probes < passed / PROBE_SECONDS:
            word = f"probe-{probes}"
            sent[word] = time.monotonic()
            await producer.send(topic, f"{word} and nine words more of no weight".encode())
            probes += 1
        await asyncio.sleep(0.005)


def _write(folder: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the rows as a table and write them as JSON."""
    table = Table(title=name, title_justify="left")
    for column in rows[0]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(f"{v:,}" if isinstance(v, int | float) else str(v) for v in row.values()))
    Console().print(table)
    folder.mkdir(parents=True, exist_ok=True)
    content = {"machine": report.machine(), name: [dict(row) for row in rows]}
    path = folder / f"bench-{name}.json"
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


SWEEPS: dict[str, Callable[[Bench, argparse.Namespace], None]] = {
    "scaling": scaling,
    "recovery": recovery,
    "latency": latency,
}
