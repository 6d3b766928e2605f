"""Measures Spark Structured Streaming: local[2], with the connectors' defaults."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.embedded.java import find_java
from app.embedded.process import Process
from tests.benchmarks.jars import LOCK, SPARK
from tests.benchmarks.json_lines import ReportingSystem, last_report
from tests.benchmarks.measure import COUNTED, SAVED, Skipped, compare
from tests.benchmarks.saved import make_table, saved_counts
from tests.jars import jars_of
from tests.workers import environ_with

if TYPE_CHECKING:
    from tests.benchmarks.lines import Counts

__all__ = ["Spark"]

LINES_PER_TRIGGER = 400_000
HEAP = "2g"


@dataclass
class Spark(ReportingSystem):
    """One driver that is its own executor; done when its last micro-batch is committed."""

    name: str = "Spark"
    mode: str = COUNTED

    def start(self) -> None:
        """Start the driver."""
        if importlib.util.find_spec("pyspark") is None:
            raise Skipped("pyspark is not installed: pip install 'wordcount-stream[bench]'")
        job, saved = self.job, self.mode == SAVED
        jars = jars_of(LOCK, SPARK)
        if saved:
            make_table(job)
        parameters = {
            "name": job.name,
            "broker": job.kafka.address,
            "topic": job.topic,
            "keyspace": job.keyspace if saved else None,
            "checkpoint": str(job.folder / "checkpoint"),
            # Spark divides this by partitions and rounds down: the first batch is the warm-up.
            "lines_per_trigger": min(LINES_PER_TRIGGER, job.warm_up) + job.partitions,
            "settings": self._settings(jars),
        }
        script = str(Path(__file__).with_name("spark_job.py"))
        environ = environ_with(
            JAVA_HOME=str(find_java().resolve().parent.parent),
            SPARK_LOCAL_IP="127.0.0.1",
            PYSPARK_PYTHON=sys.executable,
        )
        command = [sys.executable, script, json.dumps(parameters)]
        self.processes.append(Process(command, self.output, environ))

    def done_at(self) -> float | None:
        """Return the end of the last micro-batch."""
        return self.progress().at

    def check(self, truth: Counts) -> tuple[bool, str]:
        """Compare rows in Cassandra word for word, or, when counting alone, the number of rows."""
        if self.mode == SAVED:
            return compare(saved_counts(self.job), truth, "every row in Cassandra")
        return last_report(self.output)["rows"] == len(truth), "lines and distinct words"

    def _settings(self, jars: list[Path]) -> dict[str, str]:
        job = self.job
        return {
            "spark.jars": ",".join(str(jar) for jar in jars),
            "spark.driver.memory": HEAP,
            "spark.driver.host": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.local.dir": str(job.folder / "local"),
            "spark.sql.warehouse.dir": str(job.folder / "warehouse"),
            # The default of 200 would make 200 small tasks a micro-batch.
            "spark.sql.shuffle.partitions": str(job.partitions),
            "spark.cassandra.connection.host": job.cassandra.host,
            "spark.cassandra.connection.port": str(job.cassandra.port),
        }
