"""Measures Kafka Streams: a small Java program, compiled here, with 2 threads."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from app.embedded.java import find_java
from app.embedded.process import Process
from tests.benchmarks.jars import LOCK, STREAMS
from tests.benchmarks.json_lines import ReportingSystem
from tests.benchmarks.measure import COUNTED, Skipped, compare
from tests.jars import jars_of

if TYPE_CHECKING:
    from tests.benchmarks.lines import Counts

__all__ = ["KafkaStreams"]

SOURCE = Path(__file__).with_name("streams") / "WordCount.java"
HEAP = "1g"


@dataclass
class KafkaStreams(ReportingSystem):
    """One JVM; done when both of its steps have committed their last offsets."""

    name: str = "Kafka Streams"
    mode: str = COUNTED
    guarantee: str = "at_least_once"

    def start(self) -> None:
        """Compile and start the program."""
        job = self.job
        compiler = _javac()
        path = os.pathsep.join(str(jar) for jar in jars_of(LOCK, STREAMS))
        done = subprocess.run(
            [compiler, "-cp", path, "-d", str(job.folder), str(SOURCE)],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise Skipped(f"{compiler} can't compile {SOURCE.name}: {done.stderr[-500:]}")
        command = [str(find_java()), f"-Xmx{HEAP}", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        command += ["-cp", os.pathsep.join([str(job.folder), path]), "WordCount"]
        command += [job.kafka.address, job.name, job.topic, str(job.folder / "state")]
        self.processes.append(Process([*command, self.guarantee], self.output, os.environ))

    def done_at(self) -> float | None:
        """Return the time once all is committed: a commit first flushes store and changelog."""
        committed = self.job.topics.committed(self.job.name)
        done = all(committed.get(tp, -1) >= end for tp, end in self._ends.items())
        return time.time() if done else None

    def check(self, truth: Counts) -> tuple[bool, str]:
        """Compare word for word with the changelog of its store."""
        rows = self.job.topics.newest(f"{self.job.name}-counts-changelog")
        found = {}
        for key, value in rows.items():
            # The word, the window's start (8 bytes), a sequence number (4 bytes, always 0).
            start = int.from_bytes(key[-12:-4], "big")
            found[start, key[:-12].decode()] = int.from_bytes(value[-8:], "big")
        return compare(found, truth, "every row of the changelog")

    @cached_property
    def _ends(self) -> dict[tuple[str, int], int]:
        topics = self.job.topics
        repartitioned = f"{self.job.name}-counts-repartition"
        return topics.data_ends(self.job.topic) | topics.data_ends(repartitioned)


def _javac() -> str:
    beside = find_java().resolve().with_name("javac")
    compiler = str(beside) if beside.exists() else shutil.which("javac")
    if compiler is None:
        raise Skipped("no javac on PATH: Kafka Streams needs a JDK, 17 or newer")
    return compiler
