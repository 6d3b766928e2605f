"""Checks whether a worker keeps to WORDCOUNT_MEMORY under the heaviest loads.

    python -m tests.benchmarks.memory [SCENARIO …]

memory_scenarios.py lists the scenarios. Each runs one worker, one after the other. The output has,
for each scenario, the peak of resident memory by the kernel's count and the counted words.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.embedded import EmbeddedCassandra, EmbeddedKafka, close_together, start_together
from tests.benchmarks.memory_scenarios import MESSAGE_BYTES, SCENARIOS
from tests.benchmarks.this_app import WITH_SINK, WITHOUT_SINK
from tests.workers import WorkerProcess, environ_with, faust

if TYPE_CHECKING:
    from tests.benchmarks.memory_scenarios import Scenario

__all__ = ["ScenarioRun"]


class ScenarioRun:
    """One scenario on its own topic, under its own application id."""

    def __init__(self, scenario: Scenario, servers: Any, memory: str, folder: Path) -> None:
        self.scenario = scenario
        self.kafka, self.cassandra = servers
        self.name = f"memory_{scenario.name}"
        self.folder = folder / scenario.name
        self.words = 0
        self.peak_mib = self.last_mib = 0
        self.settings = {
            "WORDCOUNT_BROKER": f"kafka://{self.kafka.address}",
            "WORDCOUNT_CASSANDRA": self.cassandra.address,
            "WORDCOUNT_ID": self.name,
            "WORDCOUNT_LINES": f"{self.name}_lines",
            "WORDCOUNT_KEYSPACE": self.name,
            "WORDCOUNT_PARTITIONS": str(scenario.partitions),
            "WORDCOUNT_MEMORY": memory,
            **{f"WORDCOUNT_{key}": value for key, value in scenario.settings.items()},
        }

    @property
    def data(self) -> Path:
        """The worker's data directory."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """The worker's log."""
        return self.folder / "worker.log"

    def start_worker(self) -> WorkerProcess:
        """Start a worker on the run's data directory."""
        module = WITH_SINK if self.scenario.sink else WITHOUT_SINK
        return WorkerProcess(self.data, self.log, self.settings, module=module).start()

    async def run(self, size: float, outage_s: float) -> str:
        """Run the scenario and return one line with the result."""
        self.folder.mkdir(parents=True)
        await self.fill(size)
        if self.scenario.sink:
            await self._finish(faust("schema", "--apply"))
        worker = self.start_worker()
        began = time.monotonic()
        try:
            if self.scenario.outage_s:
                await self._outage(worker, min(outage_s, self.scenario.outage_s))
            counted = await self.until_counted(worker)
        finally:
            worker.stop(60)
        took = time.monotonic() - began
        return (
            f"{self.scenario.name}: peak {self.peak_mib} MiB, {self.last_mib} MiB at the end; "
            f"{counted:,} of {self.words:,} words in {took:.0f} s; status {worker.exit_status}"
        )

    async def fill(self, size: float) -> None:
        """Fill a topic with the scenario's messages."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka.address)
        await admin.start()
        large = {"max.message.bytes": str(MESSAGE_BYTES)}
        topic = NewTopic(f"{self.name}_lines", self.scenario.partitions, 1, topic_configs=large)
        await admin.create_topics([topic])
        await admin.close()
        producer = AIOKafkaProducer(
            bootstrap_servers=self.kafka.address,
            max_request_size=MESSAGE_BYTES,
            max_batch_size=1 << 20,
            linger_ms=5,
            request_timeout_ms=120_000,
        )
        await producer.start()
        for number, (timestamp, text) in enumerate(self.scenario.messages(size)):
            self.words += self.scenario.each * (text.count(b" ") + text.count(b"\n") + 1)
            # One by one if large: together they would exceed the limit of a request.
            send = producer.send_and_wait if len(text) > 1 << 20 else producer.send
            await send(
                topic.name,
                text,
                partition=number % self.scenario.partitions,
                timestamp_ms=timestamp,
            )
        await producer.stop()

    async def _finish(self, command: list[str]) -> None:
        process = await asyncio.create_subprocess_exec(*command, env=environ_with(**self.settings))
        assert await process.wait() == 0

    async def _outage(self, worker: WorkerProcess, seconds: float) -> None:
        """Pause Cassandra while the worker runs at full load."""
        while (await self._counted(worker) or 0) < self.words // 50:
            await asyncio.sleep(0.5)
            self._look(worker)
        self.cassandra.pause()
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and worker.running:
            await asyncio.sleep(0.5)
            self._look(worker)
        self.cassandra.resume()

    async def until_counted(self, worker: WorkerProcess) -> int:
        """Wait until all words are counted or the worker has ended; return the counted words."""
        counted = 0
        while counted < self.words and worker.running:
            self._look(worker)
            counted = await self._counted(worker) or counted
            await asyncio.sleep(0.5)
        return counted

    async def _counted(self, worker: WorkerProcess) -> int | None:
        answer = await asyncio.to_thread(worker.json, "/api/local/windows", 30.0)
        return sum(words for _, words, _ in answer["windows"]) if answer else None

    def _look(self, worker: WorkerProcess) -> None:
        if worker.running:
            status = Path(f"/proc/{worker.pid}/status").read_text(encoding="ascii")
            self.peak_mib = _mib("VmHWM", status)
            self.last_mib = _mib("VmRSS", status)


def _mib(name: str, status: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", status)
    return int(found[1]) // 1024 if found else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Check whether a worker keeps to its memory.")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--memory", default="1GiB")
    parser.add_argument("--size", type=float, default=1.0, help="fraction of the full size")
    parser.add_argument("--outage", type=float, default=600.0, help="seconds without Cassandra")
    return parser.parse_args()


def main() -> int:
    """Run the scenarios and print a line for each."""
    arguments = _arguments()
    kafka = EmbeddedKafka(
        heap="1g",
        settings={
            "message.max.bytes": str(MESSAGE_BYTES),
            "socket.request.max.bytes": str(2 * MESSAGE_BYTES),
        },
    )
    servers = (kafka, EmbeddedCassandra(heap="1g"))
    start_together(*servers)
    try:
        with tempfile.TemporaryDirectory(prefix="wordcount-memory-") as folder:
            for name in arguments.scenarios or SCENARIOS:
                run = ScenarioRun(SCENARIOS[name], servers, arguments.memory, Path(folder))
                print(asyncio.run(run.run(arguments.size, arguments.outage)), flush=True)  # noqa: T201
    finally:
        close_together(*servers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
