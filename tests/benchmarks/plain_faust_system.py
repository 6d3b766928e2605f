"""Measures the word count of Faust's documentation."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.embedded.ports import free_port
from app.embedded.process import Process
from tests.benchmarks.json_lines import ReportingSystem
from tests.benchmarks.measure import COUNTED, compare
from tests.workers import environ_with

if TYPE_CHECKING:
    from tests.benchmarks.lines import Counts

__all__ = ["PlainFaust"]


@dataclass
class PlainFaust(ReportingSystem):
    """One worker, word by word; it keeps counts in memory and sends them to the changelog."""

    name: str = "plain Faust"
    mode: str = COUNTED
    note: str = "fewer lines; no windows; done when counted in memory"

    def start(self) -> None:
        """Start the worker."""
        job = self.job
        # An agent on a missing topic would wait for ever.
        job.topics.create(f"{job.name}-words")
        environ = environ_with(
            BENCH_BROKER=job.kafka.address,
            BENCH_ID=job.name,
            BENCH_TOPIC=job.topic,
            BENCH_PARTITIONS=str(job.partitions),
        )
        command = [sys.executable, "-m", "faust", "-A", "tests.benchmarks.plain_faust"]
        command += ["--datadir", str(job.folder / "data"), "worker", "-l", "warn"]
        command += ["--web-port", str(free_port())]
        self.processes.append(Process(command, self.output, environ))

    def done_at(self) -> float | None:
        """Return the time of the report that contains the last word."""
        return self.progress().at

    def check(self, truth: Counts) -> tuple[bool, str]:
        """Stop the worker, so that the changelog is complete, and compare it word for word."""
        self.stop()
        self.processes.clear()
        expected: Counter[str] = Counter()
        for (_, word), count in truth.items():
            expected[word] += count
        rows = self.job.topics.newest(f"{self.job.name}-word_counts-changelog")
        found = {json.loads(key): json.loads(value) for key, value in rows.items()}
        return compare(found, expected, "every row of the changelog")
