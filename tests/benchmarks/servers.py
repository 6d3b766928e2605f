"""Runs the servers of a benchmark, with suitable heaps and compiler, and fills topics with text."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from app.embedded import EmbeddedCassandra, EmbeddedKafka, close_together
from tests.benchmarks.display import progress_bar
from tests.benchmarks.lines import fill
from tests.benchmarks.measure import Job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from tests.benchmarks.lines import Text

__all__ = ["CASSANDRA_HEAP", "KAFKA_HEAP", "Bench"]

KAFKA_HEAP = "512m"
CASSANDRA_HEAP = "1g"

# The embedded servers' options favour a fast start; the last value of an option wins.
_FULL_COMPILER = ("-XX:TieredStopAtLevel=4",)


class Bench:
    """Both servers and a directory; Cassandra starts when a system first needs it."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.kafka = EmbeddedKafka(
            heap=KAFKA_HEAP,
            java_options=_FULL_COMPILER,
            # Kafka's default: workers that start together join one assignment.
            settings={"group.initial.rebalance.delay.ms": 3000},
        )
        self.cassandra = EmbeddedCassandra(heap=CASSANDRA_HEAP, java_options=_FULL_COMPILER)
        self._stack = ExitStack()
        self._jobs = 0

    def __enter__(self) -> Self:
        self.folder = Path(
            self._stack.enter_context(tempfile.TemporaryDirectory(prefix="wordcount-bench-"))
        )
        self._stack.callback(close_together, self.kafka, self.cassandra)
        self.console.print("Starting Kafka")
        self.kafka.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def need_cassandra(self) -> None:
        """Start Cassandra unless it runs already."""
        if not self.cassandra.running:
            self.console.print("Starting Cassandra")
            self.cassandra.start()

    def fill(self, topic: str, text: Text, partitions: int) -> Text:
        """Fill a new topic with the text, dated to the last minutes; return the dated text."""
        text = text.since(time.time())
        what = f"Filling topic {topic} with {text.total:,} lines"
        with progress_bar(self.console, what, text.total) as advance:
            done = 0

            def more(lines: int) -> None:
                nonlocal done
                done += lines
                advance(done)

            asyncio.run(fill(self.kafka.address, topic, text, partitions, more))
        return text

    @contextmanager
    def job(self, topic: str, text: Text, warm_up: int, partitions: int) -> Iterator[Job]:
        """A job with its own name and directory; its topics are deleted afterwards."""
        self._jobs += 1
        name = f"bench-{self._jobs}"
        folder = self.folder / name
        folder.mkdir()
        job = Job(name, topic, text, warm_up, partitions, self.kafka, self.cassandra, folder)
        try:
            yield job
        finally:
            job.topics.delete(f"{name}-")
            shutil.rmtree(folder, ignore_errors=True)
