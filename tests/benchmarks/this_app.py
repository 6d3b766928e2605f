"""Measures this application: one worker or several, with and without Cassandra."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.counting.windows import Windows
from app.embedded.ports import free_port
from app.embedded.process import Process
from tables.rows import PREFIX_BYTES, decode_row
from tests.benchmarks.lines import WORDS_PER_LINE
from tests.benchmarks.measure import SAVED, BenchError, Progress, System, compare
from tests.benchmarks.saved import saved_counts

if TYPE_CHECKING:
    from tests.benchmarks.lines import Counts

__all__ = ["ROOT", "ThisApp", "python_environ"]

ROOT = Path(__file__).parents[2]

# `app_without_sink` is the same command without Cassandra.
WITH_SINK = (sys.executable, "-m", "faust")
WITHOUT_SINK = (sys.executable, "-m", "tests.benchmarks.app_without_sink")


def python_environ(**more: str) -> dict[str, str]:
    """The environment of a Python child: this checkout on its path, without the user's settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WORDCOUNT_")}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


@dataclass
class ThisApp(System):
    """Workers on the topic; their web servers report the progress."""

    name: str = "this app"
    mode: str = SAVED
    ports: list[int] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    seen: Progress = Progress(0.0, 0, all_at_work=False)

    def start(self) -> None:
        """Create the table and start all workers together."""
        job = self.job
        if self.mode == SAVED:
            command = [*WITH_SINK, "-A", "app", "schema", "--apply"]
            done = subprocess.run(
                command, env=self._environ(), check=False, capture_output=True, text=True
            )
            if done.returncode:
                raise BenchError(f"{self.name}: {done.stderr}")
        for number in range(self.workers):
            self.start_worker(job.folder / f"data-{number}")

    def start_worker(self, data: Path) -> None:
        """Start one more worker."""
        self.ports.append(free_port())
        command = WITH_SINK if self.mode == SAVED else WITHOUT_SINK
        environ = self._environ() | {"WORDCOUNT_WEB_PORT": str(self.ports[-1])}
        log = self.job.folder / f"worker-{len(self.ports)}.log"
        self.processes.append(
            Process([*command, "-A", "app", "--datadir", str(data), "worker"], log, environ)
        )

    def progress(self) -> Progress:
        """Return the words in the workers' tables, which hold committed checkpoints."""
        answers = [_get_json(port, "api/local/windows") for port in self.ports]
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
        answers = [_get_json(port, "api/local/status") for port in self.ports]
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

    def _environ(self) -> dict[str, str]:
        job = self.job
        address = job.cassandra.address
        return python_environ(
            **{
                "WORDCOUNT_BROKER": f"kafka://{job.kafka.address}",
                "WORDCOUNT_CASSANDRA": address,
                "WORDCOUNT_ID": job.name,
                "WORDCOUNT_LINES": job.topic,
                "WORDCOUNT_PARTITIONS": str(job.partitions),
                "WORDCOUNT_KEYSPACE": job.keyspace,
                "WORDCOUNT_PRINT": "0",
                **self.settings,
            }
        )


def _get_json(port: int, path: str) -> Any:
    """Return the JSON of an answer; None if there is no answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
            return json.load(answer)
    except (OSError, urllib.error.HTTPError):
        return None
