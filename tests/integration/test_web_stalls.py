"""Health during stalls on purpose, on a worker with limits of a few seconds."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.embedded import EmbeddedKafka
from tests.conftest import Servers
from tests.integration.conftest import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.embedded import EmbeddedCassandra
    from tests.workers import WorkerProcess

APP = "tests.integration.stalling"


class Stalled:
    """A stream on a Kafka that the test may kill; the test can stall its workers."""

    def __init__(self, kafka: EmbeddedKafka, stream: Stream, folder: Path) -> None:
        self.kafka = kafka
        self.stream = stream
        self.folder = folder
        self.worker = self.start()

    def start(self, *, ready: bool = True) -> WorkerProcess:
        """Start a worker with no local rows; health and metrics are those of the last one."""
        self.worker = self.stream.start(ready=ready, app=APP, STALLS=str(self.folder))
        return self.worker

    def begin(self, stall: str) -> None:
        """Begin a stall."""
        (self.folder / stall).touch()

    def end(self, stall: str) -> None:
        """End a stall."""
        (self.folder / stall).unlink()

    async def produce(self, lines: int = 20) -> None:
        """Write lines with the present time."""
        now = time.time_ns() // 1_000_000
        await self.stream.produce((f"line {number}", now) for number in range(lines))

    def health(self) -> tuple[int, int, str]:
        """Status of live and of ready, and the reasons of both."""
        live, ready = (self.worker.get(f"/health/{name}", 2) for name in ("live", "ready"))
        reasons = [
            reason for _, body in (live, ready) for reason in (body or {"reasons": []})["reasons"]
        ]
        return live[0], ready[0], "; ".join(reasons)

    def until(self, live: int, ready: int, reason: str = "") -> None:
        """Wait until health has these statuses and this reason."""

        def reported() -> bool:
            found = self.health()
            return found[:2] == (live, ready) and reason in found[2]

        self.worker.wait_until(reported, 90)

    def metric(self, name: str) -> float:
        """The sum of a metric's samples."""
        _, text = self.worker.get("/metrics")
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        )


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[EmbeddedKafka]:
    """A Kafka that these tests may kill and pause."""
    with EmbeddedKafka() as kafka:
        yield kafka


@pytest.fixture
def stalled(
    own_kafka: EmbeddedKafka, cassandra: EmbeddedCassandra, unique: str, tmp_path: Path
) -> Iterator[Stalled]:
    """A ready worker of an application for this test alone."""
    stream = Stream(Servers(own_kafka.start(), cassandra), unique, tmp_path)
    try:
        yield Stalled(own_kafka, stream.configure(partitions=2, print=0), tmp_path)
    finally:
        own_kafka.resume()
        stream.close()


async def test_a_worker_with_a_blocked_event_loop_does_not_answer(stalled: Stalled) -> None:
    """A probe times out; once the loop runs again, the worker is live and ready."""
    worker = stalled.worker
    assert stalled.health() == (200, 200, "")
    stalled.begin("loop")
    worker.wait_until(lambda: worker.get("/health/live", 1)[0] == 0)
    stalled.end("loop")
    stalled.until(200, 200)


@pytest.mark.parametrize("stall", ["consumer", "commit"])
async def test_a_worker_with_a_stuck_task_is_not_live(stalled: Stalled, stall: str) -> None:
    """The task receives nothing, or it commits nothing; a restart would help."""
    stalled.begin(stall)
    await stalled.produce()
    stalled.until(503, 200, "has committed nothing for 4 s")
    stalled.end(stall)
    stalled.until(200, 200)


async def test_a_worker_without_kafka_is_live_and_not_ready(stalled: Stalled) -> None:
    """It must not be killed while it waits; when Kafka is back, it becomes ready by itself."""
    stalled.kafka.kill()
    stalled.until(200, 503, "no broker has answered for 5 s")
    stalled.kafka.start()
    stalled.until(200, 200)
    await stalled.produce()
    stalled.worker.wait_until(lambda: stalled.metric("wordcount_lag_records") == 0)


async def test_a_worker_that_recovers_is_live_and_not_ready(stalled: Stalled) -> None:
    """This holds for any duration; the metrics show the records that are left."""
    counting = stalled.worker
    await stalled.produce()
    counting.wait_until(lambda: (counting.json("/api/words/line") or {}).get("windows"))
    assert counting.stop() == 0
    stalled.begin("recovery")
    worker = stalled.start(ready=False)
    stalled.until(200, 503, "the worker is recovering")
    began = time.monotonic()
    assert stalled.metric("wordcount_recovering") == 1
    assert stalled.metric("wordcount_ready") == 0
    worker.wait_until(lambda: stalled.metric("wordcount_recovery_remaining_records") > 0)
    worker.wait_until(lambda: stalled.health()[0] != 200 or time.monotonic() > began + 7)
    assert stalled.health()[0] == 200
    stalled.end("recovery")
    stalled.until(200, 200)
    assert stalled.metric("wordcount_recovering") == 0
    assert stalled.metric("wordcount_recovery_remaining_records") == 0
    assert worker.json("/api/words/line")["windows"]


async def test_while_kafka_hangs_the_workers_still_answer_each_other(stalled: Stalled) -> None:
    """Its connections are open and silent: lags are unknown, and no worker is listed as silent."""
    await stalled.produce()
    workers = [stalled.worker, stalled.start()]

    def reported(worker: WorkerProcess) -> tuple[int, int, bool]:
        """How many workers answer, how many do not, and whether all lags are known."""
        status = worker.json("/api/status")
        lags = [part["lines_lag"] for each in status["workers"] for part in each["partitions"]]
        return len(status["workers"]), len(status["silent"]), None not in lags

    def is_complete(worker: WorkerProcess) -> bool:
        return worker.json("/api/top") is not None and reported(worker) == (2, 0, True)

    def misses_lags(worker: WorkerProcess) -> bool:
        return not reported(worker)[2]

    for worker in workers:
        worker.wait_until(partial(is_complete, worker))
    stalled.kafka.pause()
    for worker in workers:
        worker.wait_until(partial(misses_lags, worker))
    assert all(worker.json("/api/top") for worker in workers)
    seen: set[tuple[int, int, bool]] = set()

    def is_missed() -> bool:
        """Whether a worker misses the broker by now; queries all workers meanwhile."""
        seen.update(reported(worker) for worker in workers)
        return "no broker has answered for 5 s" in stalled.health()[2]

    stalled.worker.wait_until(is_missed)
    assert seen == {(2, 0, False)}
    stalled.kafka.resume()
    for worker in workers:
        worker.wait_until(partial(is_complete, worker))
