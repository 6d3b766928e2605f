"""Measures one run of one system: start it, wait for two marks, compare its use of the machine.

The topic holds everything beforehand. The first mark is the first sample at which all parts of the
system work and the warm-up lines have been counted. The second mark is the moment when the counts
of all lines are durable. Rates are lines between the marks, over the time between the marks.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.benchmarks.meter import Meter, cpu_s
from tests.benchmarks.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from app.embedded import EmbeddedCassandra, EmbeddedKafka
    from app.embedded.process import Process
    from tests.benchmarks.lines import Counts, Text

__all__ = [
    "COUNTED",
    "SAVED",
    "BenchError",
    "Job",
    "Progress",
    "Run",
    "Skipped",
    "System",
    "compare",
    "measure",
]

COUNTED = "counting alone"
SAVED = "saved to Cassandra"

LOOK_SECONDS = 0.1

STALLED_SECONDS = 120.0
"""A system that counts nothing for this time has failed."""


class BenchError(Exception):
    """A system failed; the message names it and contains the end of its log."""


class Skipped(BenchError):  # noqa: N818 - no error: the machine lacks a program
    """A system can't run on this machine."""


@dataclass(frozen=True)
class Job:
    """The input of a system: the topic and its text, the servers, its own directory."""

    name: str
    topic: str
    text: Text
    warm_up: int
    partitions: int
    kafka: EmbeddedKafka
    cassandra: EmbeddedCassandra
    folder: Path

    @property
    def keyspace(self) -> str:
        """The job's own keyspace."""
        return self.name.replace("-", "_")

    @property
    def settings(self) -> dict[str, str]:
        """The settings of this application that name the servers, the topic and the keyspace."""
        return {
            "WORDCOUNT_BROKER": f"kafka://{self.kafka.address}",
            "WORDCOUNT_CASSANDRA": self.cassandra.address,
            "WORDCOUNT_ID": self.name,
            "WORDCOUNT_LINES": self.topic,
            "WORDCOUNT_PARTITIONS": str(self.partitions),
            "WORDCOUNT_KEYSPACE": self.keyspace,
        }

    @property
    def topics(self) -> Topics:
        """Queries about topics and offsets of the job's Kafka."""
        return Topics(self.kafka.address, self.partitions)


class Progress(NamedTuple):
    """The lines counted at `at` (Unix time); `all_at_work` once all parts of the system work."""

    at: float
    lines: float
    all_at_work: bool = True


@dataclass
class Run:
    """The figures of a run between the marks; `peak_mib` covers the whole run."""

    system: str
    mode: str
    workers: int
    lines: int
    lines_per_s: float
    cpu_s: float
    peak_mib: float
    seconds: float
    broker_cpu_s: float
    cassandra_cpu_s: float
    exact: bool
    checked: str
    note: str = ""

    @property
    def cpu_per_million(self) -> float:
        """Seconds of the system's own CPU time per million lines."""
        return self.cpu_s / self.lines * 1e6

    def as_json(self) -> dict[str, Any]:
        """Return the run as it appears in bench.json."""
        return {**asdict(self), "cpu_s_per_million_lines": round(self.cpu_per_million, 2)}


@dataclass
class System(ABC):
    """A measured system; `name`, `mode` and `workers` identify it in the report."""

    job: Job
    name: str
    mode: str
    workers: int = 1
    note: str = ""
    processes: list[Process] = field(default_factory=list)

    @abstractmethod
    def start(self) -> None:
        """Start the system's processes and return at once. Raises Skipped."""

    @abstractmethod
    def progress(self) -> Progress:
        """Return the system's progress."""

    @abstractmethod
    def done_at(self) -> float | None:
        """Return when all counts were durable (Unix time), or None; called once all are counted."""

    @abstractmethod
    def check(self, truth: Counts) -> tuple[bool, str]:
        """Return whether the counts are right, and what was compared; the system still runs."""

    def stop(self) -> None:
        """End all processes of the system."""
        for process in self.processes:
            process.terminate(30)

    def log_tail(self) -> str:
        """Return the end of the system's logs."""
        logs = sorted(self.job.folder.glob("*.log"))
        return "\n".join(log.read_text(errors="replace")[-1500:] for log in logs)


def compare(found: Mapping[Any, int], truth: Mapping[Any, int], what: str) -> tuple[bool, str]:
    """Compare counts with the true ones; return whether they are equal, and a description."""
    if found == truth:
        return True, what
    wrong = [key for key in found.keys() | truth.keys() if found.get(key) != truth.get(key)]
    example = min(wrong)
    return False, (
        f"{what}: {len(wrong):,} of {len(truth):,} rows differ, {sum(found.values()):,} words of "
        f"{sum(truth.values()):,}; {example}: {found.get(example)}, not {truth.get(example)}"
    )


class _Mark(NamedTuple):
    at: float
    lines: float
    cpu: Mapping[str, float]


def measure(system: System, advance: Callable[[float], None]) -> Run:
    """Run a system from start to stop; raise BenchError if it fails or makes no progress."""
    job = system.job
    try:
        system.start()
        first, last, meter = _marks(system, advance)
        exact, checked = system.check(job.text.counts())
    finally:
        system.stop()
    lines, took = last.lines - first.lines, last.at - first.at
    used = {name: last.cpu[name] - first.cpu[name] for name in first.cpu}
    return Run(
        system=system.name,
        mode=system.mode,
        workers=system.workers,
        lines=round(lines),
        lines_per_s=round(lines / took, 1),
        cpu_s=round(used["system"], 2),
        peak_mib=round(meter.peak_mib, 1),
        seconds=round(took, 2),
        broker_cpu_s=round(used["kafka"], 2),
        cassandra_cpu_s=round(used["cassandra"], 2),
        exact=exact,
        checked=checked,
        note=system.note,
    )


def _marks(system: System, advance: Callable[[float], None]) -> tuple[_Mark, _Mark, Meter]:
    job, meter, first = system.job, Meter(), None
    moved, lines = time.monotonic(), 0.0
    while True:
        # Progress before CPU: the CPU of a mark then covers at least the lines of the mark.
        progress = system.progress()
        cpu = {
            "system": meter.look(process.pid for process in system.processes),
            "kafka": cpu_s(job.kafka.pid),
            "cassandra": cpu_s(job.cassandra.pid) if job.cassandra.running else 0.0,
        }
        advance(progress.lines)
        if progress.lines != lines:
            moved, lines = time.monotonic(), progress.lines
        if first is None and progress.all_at_work and progress.lines >= job.warm_up:
            first = _Mark(progress.at, progress.lines, cpu)
        done_at = system.done_at() if first and progress.lines >= job.text.total else None
        if first is not None and done_at is not None:
            if progress.lines - first.lines < 0.2 * job.text.total:
                raise BenchError(
                    f"{system.name}: {job.text.total - first.lines:,.0f} lines were left after the "
                    "warm-up, too few to measure: use more lines (LINES=…)"
                )
            return first, _Mark(done_at, progress.lines, cpu), meter
        if not all(process.running for process in system.processes):
            raise BenchError(f"{system.name} has ended by itself:\n{system.log_tail()}")
        if time.monotonic() > moved + STALLED_SECONDS:
            raise BenchError(
                f"{system.name}, {system.mode}: no more than {progress.lines:,.0f} of "
                f"{job.text.total:,} lines for {STALLED_SECONDS:.0f} s:\n{system.log_tail()}"
            )
        time.sleep(LOOK_SECONDS)
