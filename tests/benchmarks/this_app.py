"""Measures this application: one worker or several, with and without Cassandra."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.counting.windows import Windows
from tables.rows import PREFIX_BYTES, decode_row
from tests.benchmarks.lines import WORDS_PER_LINE
from tests.benchmarks.measure import SAVED, BenchError, Progress, System, compare
from tests.benchmarks.saved import saved_counts
from tests.workers import WorkerProcess, environ_with, faust

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.lines import Counts

__all__ = ["WITHOUT_SINK", "WITH_SINK", "ThisApp"]

# `app_without_sink` is the same command without Cassandra.
WITH_SINK = "faust"
WITHOUT_SINK = "tests.benchmarks.app_without_sink"


@dataclass
class ThisApp(System):
    """Workers on the topic; their web servers report the progress."""

    name: str = "this app"
    mode: str = SAVED
    started: list[WorkerProcess] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    seen: Progress = Progress(0.0, 0, all_at_work=False)

    def start(self) -> None:
        """Create the table and start all workers together."""
        job = self.job
        if self.mode == SAVED:
            done = subprocess.run(
                faust("schema", "--apply"),
                env=environ_with(**self._settings()),
                check=False,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                raise BenchError(f"{self.name}: {done.stderr}")
        for number in range(self.workers):
            self.start_worker(job.folder / f"data-{number}")

    def start_worker(self, data: Path) -> None:
        """Start one more worker."""
        module = WITH_SINK if self.mode == SAVED else WITHOUT_SINK
        log = self.job.folder / f"worker-{len(self.started) + 1}.log"
        worker = WorkerProcess(data, log, self._settings(), module=module).start()
        self.started.append(worker)
        self.processes.append(worker.process)

    def progress(self) -> Progress:
        """Return the words in the workers' tables, which hold committed checkpoints."""
        answers = [worker.json("/api/local/windows") for worker in self.started]
        owned = [partition for answer in answers if answer for partition in answer["partitions"]]
        # Before and during a rebalance the workers' answers do not cover all partitions.
        if sorted(owned) == list(range(self.job.partitions)) and all(answers):
            words = sum(words for answer in answers for _, words, _ in answer["windows"])
            at_work = all(answer["partitions"] for answer in answers)
            self.seen = Progress(time.time(), words / WORDS_PER_LINE, at_work)
        return self.seen

    def done_at(self) -> float | None:
        """Return the time if no row waits for Cassandra."""
        if self.mode != SAVED:
            return time.time()
        answers = [worker.json("/api/local/status") for worker in self.started]
        waiting = [
            own["rows_waiting"] for answer in answers if answer for own in answer["partitions"]
        ]
        return time.time() if all(answers) and not any(waiting) else None

    def check(self, truth: Counts) -> tuple[bool, str]:
        """Compare rows in Cassandra, or the newest rows of the changelog, word for word."""
        if self.mode == SAVED:
            return compare(saved_counts(self.job), truth, "every row in Cassandra")
        return compare(self.changelog(), truth, "every row of the changelog")

    def changelog(self) -> Counts:
        """Return the table's counts from its changelog."""
        rows = self.job.topics.newest(f"{self.job.name}-word_counts-changelog")
        found = {}
        for key, value in rows.items():
            if len(key) > PREFIX_BYTES:
                word = key[PREFIX_BYTES:].decode()
                found[Windows.start_of(key), word] = decode_row(value)[0]
        return found

    def log_tail(self) -> str:
        """Return the end of the logs, without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", super().log_tail())

    def _settings(self) -> dict[str, str]:
        return {**self.job.settings, "WORDCOUNT_PRINT": "0", **self.settings}
