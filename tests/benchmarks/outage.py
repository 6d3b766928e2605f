"""Measures minutes without Cassandra under load: waiting rows, memory, time to catch up.

`python -m tests.benchmarks.outage` counts 20,000 lines/s, kills Cassandra after a minute, starts it
five minutes later and continues for a minute and a half. Then every word's count in Cassandra must
be that of the text. Writes build/outage.json and build/outage.png. Options: `--rate LINES_PER_S`,
`--down SECONDS`, `--distinct WORDS`.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
from cassandra.cluster import Cluster

from app.embedded import EmbeddedCassandra, EmbeddedKafka, close_together, start_together
from app.embedded.process import Process
from tests.benchmarks.report import machine
from tests.workers import WorkerProcess, environ_with, faust

if TYPE_CHECKING:
    from collections.abc import Callable

KEYSPACE = "outage"
BEFORE_SECONDS, AFTER_SECONDS = 60, 90
WORDS_A_LINE = 10
REPEATED_LINES = 1_000_000


class Moment(NamedTuple):
    """The figures of one second; `age` is that of the oldest change that Cassandra lacks."""

    second: float
    mib: float
    rows_waiting: float
    lag: float
    lines: float
    age: float


class Outage:
    """A worker, a producer and own servers, with the figures of each second."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments = arguments
        self.folder = folder
        self.kafka = EmbeddedKafka(heap="512m")
        self.cassandra = EmbeddedCassandra(heap="1g")
        self.moments: list[Moment] = []
        self._began = 0.0
        self._settings = {
            "WORDCOUNT_BROKER": f"kafka://{self.kafka.address}",
            "WORDCOUNT_CASSANDRA": self.cassandra.address,
            "WORDCOUNT_KEYSPACE": KEYSPACE,
            "WORDCOUNT_TOP_WORDS": str(arguments.top),
            "WORDCOUNT_PRINT": "0",
        }
        self._worker = WorkerProcess(folder / "data", folder / "worker.log", self._settings)
        self._commands: list[_Command] = []

    def run(self) -> dict[str, float]:
        """Run the outage to its end and return the figures; exit if a count differs."""
        text, counts = self._text()
        seconds = BEFORE_SECONDS + self.arguments.down + AFTER_SECONDS
        repeats = -(-self.arguments.rate * seconds // REPEATED_LINES)
        start_together(self.kafka, self.cassandra)
        try:
            self._start("schema", "--apply").wait_for_end(60)
            self._worker.start()
            self._watch_until(lambda: self._metrics() is not None, 60)
            self._began = time.monotonic()
            self._start(
                *("produce", "file", str(text)),
                *("--repeat", str(repeats), "--rate", str(self.arguments.rate)),
                log="produce.log",
            )
            self._watch_until(lambda: self._second() >= BEFORE_SECONDS, BEFORE_SECONDS + 60)
            self.cassandra.kill()
            down = self._second()
            self._report("Cassandra killed")
            self._watch_until(
                lambda: self._second() >= down + self.arguments.down, self.arguments.down + 60
            )
            self.cassandra.start()
            up = self._second()
            self._report("Cassandra serves again")
            self._watch_until(self._caught_up, 900)
            caught_up = self._second()
            self._report("caught up")
            wanted = {word: count * repeats for word, count in counts.items()}
            self._watch_until(lambda: self._counted() >= sum(wanted.values()), 900, every=5)
            if status := self._worker.stop(60):
                raise SystemExit(f"ended with status {status}:\n{self._worker.output[-3000:]}")
            if self._rows() != wanted:
                raise SystemExit("the counts in Cassandra differ from those of the text")
        finally:
            for process in self._processes:
                process.kill()
            close_together(self.kafka, self.cassandra)
        return {
            "rate": self.arguments.rate,
            "lines": repeats * REPEATED_LINES,
            "distinct words": len(counts),
            "down from, s": down,
            "up again, s": up,
            "caught up after, s": caught_up - up,
            "most rows waiting": max(moment.rows_waiting for moment in self.moments),
            "most lag, records": max(moment.lag for moment in self.moments),
            "memory before, MiB": max(m.mib for m in self.moments if m.second < down),
            "most memory, MiB": max(moment.mib for moment in self.moments),
        }

    def _text(self) -> tuple[Path, Counter[str]]:
        """Write a file of lines with unequally frequent words; return it and the counts."""
        choose = random.Random(1)
        words = [f"w{number:x}" for number in range(self.arguments.distinct)]
        weights = [1 / (rank + 20) for rank in range(len(words))]
        path = self.folder / "lines.txt"
        counts: Counter[str] = Counter()
        with path.open("w", encoding="utf-8") as file:
            for _ in range(REPEATED_LINES // 10_000):
                block = choose.choices(words, weights, k=10_000 * WORDS_A_LINE)
                counts.update(block)
                for place in range(0, len(block), WORDS_A_LINE):
                    file.write(" ".join(block[place : place + WORDS_A_LINE]) + "\n")
        return path, counts

    def _start(self, *arguments: str, log: str = "command.log") -> _Command:
        environ = environ_with(**self._settings)
        self._commands.append(_Command(faust(*arguments), self.folder / log, environ))
        return self._commands[-1]

    @property
    def _processes(self) -> list[WorkerProcess | _Command]:
        return [self._worker, *self._commands]

    def _second(self) -> float:
        return time.monotonic() - self._began

    def _report(self, what: str) -> None:
        click.echo(f"{self._second():7.1f} s: {what}")

    def _watch_until(
        self, condition: Callable[[], bool], seconds: float, every: float = 1.0
    ) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise SystemExit(f"not within {seconds:.0f} s; logs in {self.folder}")
            for process in self._processes:
                if process.exit_status:
                    raise SystemExit(f"a command has failed:\n{process.output[-3000:]}")
            metrics = self._metrics()
            if metrics is not None and self._began:
                self._note(metrics)
            time.sleep(every)

    def _note(self, metrics: dict[str, float]) -> None:
        self.moments.append(
            Moment(
                self._second(),
                metrics["process_resident_memory_bytes"] / (1 << 20),
                metrics["wordcount_rows_waiting"],
                metrics["wordcount_lag_records"],
                metrics["wordcount_lines_total"],
                metrics["wordcount_unflushed_age_seconds"],
            )
        )

    def _metrics(self) -> dict[str, float] | None:
        """Return metrics by name, summed over labels; None while the worker does not answer."""
        status, text = self._worker.get("/metrics", 10.0)
        if status != 200:
            return None
        found: defaultdict[str, float] = defaultdict(float)
        for name, value in re.findall(r"^(\w+)(?:\{.*\})? (\S+)$", text, re.MULTILINE):
            found[name] += float(value)
        return found

    def _caught_up(self) -> bool:
        """Whether Cassandra has all rows but the last interval's, and Kafka has no backlog."""
        last = self.moments[-1]
        return last.age < 5 and last.rows_waiting < self.arguments.distinct and last.lag < 1000

    def _rows(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        with Cluster([self.cassandra.host], port=self.cassandra.port) as cluster:
            query = f"SELECT word, count FROM {KEYSPACE}.words"
            for word, count in cluster.connect().execute(query, timeout=60):
                counts[word] += count
        return counts

    def _counted(self) -> int:
        return sum(self._rows().values())


class _Command(Process):
    """A command of the application with its output in a file."""

    def __init__(self, command: list[str], log: Path, environ: dict[str, str]) -> None:
        super().__init__(command, log, environ)
        self._log = log

    @property
    def output(self) -> str:
        """The text of its output so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait_for_end(self, seconds: float) -> None:
        """Wait until the command has ended."""
        deadline = time.monotonic() + seconds
        while self.running:
            if time.monotonic() > deadline:
                raise SystemExit(f"still runs after {seconds} s:\n{self.output[-3000:]}")
            time.sleep(0.1)


def draw(path: Path, moments: list[Moment], figures: dict[str, float]) -> None:
    """Draw waiting rows, lag and memory over time."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, all_axes = plt.subplots(3, 1, figsize=(9, 6.5), sharex=True)
    seconds = [moment.second for moment in moments]
    panels = (
        ("rows that wait for Cassandra, thousands", [m.rows_waiting / 1e3 for m in moments]),
        ("records that wait in Kafka, thousands", [m.lag / 1e3 for m in moments]),
        ("memory of the worker, MiB", [m.mib for m in moments]),
    )
    for axes, (title, values) in zip(all_axes, panels, strict=True):
        axes.axvspan(figures["down from, s"], figures["up again, s"], color="#f1f3f5")
        axes.plot(seconds, values, color="#0b7285")
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_ylim(0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    all_axes[-1].set_xlabel(
        f"seconds; grey: Cassandra is down. {figures['rate']:,.0f} lines/s, "
        f"{figures['distinct words']:,.0f} distinct words, {machine()['cpus']} CPUs for everything"
    )
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main() -> None:
    """Measure, print, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=20_000, help="lines/s")
    parser.add_argument("--down", type=int, default=300, help="seconds without Cassandra")
    parser.add_argument("--distinct", type=int, default=300_000, help="number of distinct words")
    parser.add_argument("--top", type=int, default=20, help="WORDCOUNT_TOP_WORDS")
    parser.add_argument("--output", type=Path, default=Path("build"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wordcount-outage-") as folder:
        outage = Outage(arguments, Path(folder))
        figures = outage.run()
    arguments.output.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine(), **figures, "seconds": [m._asdict() for m in outage.moments]}
    (arguments.output / "outage.json").write_text(
        json.dumps(content, indent=1) + "\n", encoding="utf-8"
    )
    draw(arguments.output / "outage.png", outage.moments, figures)
    for name, value in figures.items():
        click.echo(f"{name:24} {value:>12,.0f}")
    click.echo("every count in Cassandra is that of the text")


if __name__ == "__main__":
    main()
