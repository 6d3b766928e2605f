"""`make bench` compares this application with others on one topic, on one machine, in one run.

LINES, SYSTEMS, DISTINCT, WINDOWS and SWEEP are options; docs/benchmark.md describes the method.
"""

from __future__ import annotations

import argparse
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from tests.benchmarks import report
from tests.benchmarks.display import progress_bar
from tests.benchmarks.lines import Text
from tests.benchmarks.measure import COUNTED, SAVED, BenchError, Run, Skipped, System, measure
from tests.benchmarks.plain_faust_system import PlainFaust
from tests.benchmarks.servers import CASSANDRA_HEAP, KAFKA_HEAP, Bench
from tests.benchmarks.spark_system import Spark
from tests.benchmarks.stages import measure_stages
from tests.benchmarks.streams_system import KafkaStreams
from tests.benchmarks.this_app import ThisApp

if TYPE_CHECKING:
    from collections.abc import Callable


FAUST_LINES = 20_000
"""Lines for plain Faust, which takes a thousand times as long for each line."""


def _new(system: Callable[..., System], **options: Any) -> partial[System]:
    return partial(system, **options)


# Keys are the values of SYSTEMS. Systems that need Cassandra come last, so that Cassandra does not
# run while the others are measured.
SYSTEMS: dict[str, list[partial[System]]] = {
    "app": [
        _new(ThisApp, mode=COUNTED, workers=1),
        _new(ThisApp, mode=COUNTED, workers=2),
        _new(ThisApp, mode=SAVED, workers=1),
        _new(ThisApp, mode=SAVED, workers=2),
    ],
    "spark": [_new(Spark, mode=COUNTED), _new(Spark, mode=SAVED)],
    "streams": [
        _new(KafkaStreams),
        _new(KafkaStreams, name="Kafka Streams, exactly once", guarantee="exactly_once_v2"),
    ],
    "faust": [_new(PlainFaust)],
}


def main() -> int:
    """Measure the selected systems; return 1 if one failed or counted wrongly."""
    arguments = _arguments()
    # Handle SIGTERM as Ctrl-C: everything stops in order, also inside a running event loop.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    console = Console(stderr=True)
    try:
        with Bench(console) as bench:
            if arguments.sweep:
                from tests.benchmarks.sweeps import SWEEPS

                SWEEPS[arguments.sweep](bench, arguments)
                return 0
            return _compare(bench, arguments)
    except KeyboardInterrupt:
        console.print("stopped")
        return 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--lines", type=int, default=2_000_000, help="lines that are measured")
    parser.add_argument("--distinct", type=int, default=40_000, help="distinct words")
    parser.add_argument("--windows", type=int, default=1, help="one-minute windows of the text")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--flush", default="1s", help="this app's WORDCOUNT_FLUSH_INTERVAL")
    parser.add_argument("--output", type=Path, default=Path("build"))
    parser.add_argument("--sweep", choices=["scaling", "recovery", "latency"])
    parser.add_argument(
        "--systems",
        default="app,streams,spark,faust,stages",
        help=f"some of {', '.join(SYSTEMS)} and stages, commas between",
    )
    arguments = parser.parse_args()
    arguments.systems = arguments.systems.split(",")
    unknown = set(arguments.systems) - {*SYSTEMS, "stages"}
    if unknown:
        parser.error(f"--systems: there is no {', '.join(sorted(unknown))}")
    if arguments.lines < 1000:
        parser.error("--lines: must be at least 1000")
    return arguments


def _compare(bench: Bench, arguments: argparse.Namespace) -> int:
    # The first fifth on top of `lines` is the warm-up.
    text = Text(arguments.lines + arguments.lines // 5, arguments.distinct, arguments.windows)
    text = bench.fill("bench-lines", text, arguments.partitions)
    setup = {
        "lines": arguments.lines,
        "warm-up lines": arguments.lines // 5,
        "words a line": 10,
        "distinct words": len(text.counts()),
        "windows": arguments.windows,
        "partitions": arguments.partitions,
        "flush interval": arguments.flush,
        "Kafka heap": KAFKA_HEAP,
        "Cassandra heap": CASSANDRA_HEAP,
    }
    rates = []
    if "stages" in arguments.systems:
        with bench.job("bench-lines", text, arguments.lines // 5, arguments.partitions) as job:
            bench.need_cassandra()
            rates = measure_stages(job, bench.console)
            bench.cassandra.stop()
    runs: list[Run] = []
    failed = False
    report.write(arguments.output, runs, rates, setup)
    for kind, make in _ordered(arguments.systems):
        topic, own, warm_up = "bench-lines", text, arguments.lines // 5
        if kind == "faust":
            lines = min(FAUST_LINES, arguments.lines)
            topic, warm_up = "bench-few-lines", lines // 5
            own = bench.fill(
                topic,
                Text(lines + warm_up, arguments.distinct, arguments.windows),
                arguments.partitions,
            )
        run = _run(
            bench,
            partial(bench.job, topic, own, warm_up, arguments.partitions),
            make,
            arguments.flush,
        )
        failed |= run is None or (isinstance(run, Run) and not run.exact)
        if isinstance(run, Run):
            runs.append(run)
        report.write(arguments.output, runs, rates, setup)
    # Output in a file has no width: print whole tables.
    console = Console(width=None if sys.stdout.isatty() else 140)
    report.show(console, runs)
    report.show_rates(console, rates)
    console.print(f"written: {arguments.output}/bench.json, bench.md, bench.png", highlight=False)
    return int(failed)


def _ordered(systems: list[str]) -> list[tuple[str, partial[System]]]:
    chosen = [(kind, make) for kind in systems if kind in SYSTEMS for make in SYSTEMS[kind]]
    return sorted(chosen, key=lambda item: item[1].keywords.get("mode") == SAVED)


def _run(
    bench: Bench, new_job: Callable[[], Any], make: partial[System], flush: str
) -> Run | str | None:
    """Return one run, or the reason why it was skipped; None if it failed."""
    with new_job() as job:
        system = make(job)
        if isinstance(system, ThisApp):
            system.settings = {"WORDCOUNT_FLUSH_INTERVAL": flush}
        if system.mode == SAVED:
            bench.need_cassandra()
        what = f"{system.name}, {system.mode}, {system.workers} process(es)"
        try:
            with progress_bar(bench.console, what, job.text.total) as advance:
                run = measure(system, advance)
        except Skipped as reason:
            bench.console.print(f"{what}: skipped, {reason}", highlight=False)
            return str(reason)
        except BenchError as error:
            bench.console.print(f"{what}: FAILED, {error}", highlight=False, markup=False)
            return None
        bench.console.print(
            f"{what}: {run.lines_per_s:,.0f} lines/s, "
            f"{'exact' if run.exact else 'WRONG'} ({run.checked})",
            highlight=False,
        )
        return run


if __name__ == "__main__":
    sys.exit(main())
