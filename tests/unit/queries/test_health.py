"""Health: ready, live, and the reasons if it is not."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from app.queries.health import Health
from app.queries.local import Lag
from app.queries.membership import Membership
from app.queries.stall_detector import StallDetector
from tests.unit.queries.fake_worker import FakeWorker


class Bench:
    """A healthy worker with one task; tests spoil it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.dirty = SimpleNamespace(since=None)
        self.task: Any = SimpleNamespace(partition=0, committed=(5, ""), next_offset=5)
        self.working = frozenset({0})
        self.stage = self.new_stage()
        self.worker = FakeWorker()
        self.worker.stages = [self.stage]
        self.worker.table = SimpleNamespace(owned={0: SimpleNamespace(dirty=self.dirty)})
        self.membership = Membership(60, 3, lambda: self.now)
        self.membership.answered()
        stall_detector = StallDetector([self.stage], lambda: self.now)
        self.health = Health(self.worker, self.membership, stall_detector)
        self.health.observe()

    def new_stage(self) -> Any:
        """A stage of the one task."""
        return SimpleNamespace(
            name="count",
            topic="partials",
            tasks={0: self.task},
            generation=3,
            working=lambda: self.working,
        )

    def later(self, seconds: float, *, broker: bool = True, lag: int | None = 0) -> None:
        """Observe again after `seconds`, in which the broker answered or not."""
        self.now += seconds
        if broker:
            self.membership.answered()
        self.health.observe([Lag("partials", 0, lag)])


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_worker_that_works_is_ready_and_live(bench: Bench) -> None:
    """Tasks at work, a broker that answers and fresh flushes give no reasons."""
    assert bench.health.state == "working"
    assert bench.health.not_ready() == []
    assert bench.health.not_live() == []


def test_states_have_names(bench: Bench) -> None:
    """Starting, rebalancing, recovering, stopping and failed are different; none is ready."""
    bench.stage.generation = -1
    assert bench.health.not_ready() == ["the worker is rebalancing"]
    bench.worker.recovering = True
    assert bench.health.not_ready() == ["the worker is recovering"]
    bench.worker.recovering, bench.worker.rebalances = False, 0
    assert bench.health.not_ready() == ["the worker is starting"]
    bench.worker.stopping = True
    assert bench.health.not_ready() == ["the worker is stopping"]
    assert bench.health.not_live() == []
    bench.worker.failure = RuntimeError("disk full")
    assert bench.health.not_ready() == ["the worker has failed: disk full"]
    assert bench.health.not_live() == ["the worker has failed: disk full"]


def test_a_task_that_has_ended_does_not_work(bench: Bench) -> None:
    """A fenced task makes the worker unready until the rebalance that follows."""
    bench.working = frozenset()
    assert bench.health.not_ready() == ["the worker is rebalancing"]


def test_without_a_broker_a_worker_is_alive_but_not_ready(bench: Bench) -> None:
    """However long the broker is away, and with work waiting, a restart would not help."""
    bench.task.next_offset = 9
    bench.later(2)
    bench.later(600, broker=False)
    assert bench.health.not_ready() == ["no broker has answered for 15 s"]
    assert bench.health.not_live() == []


def test_without_cassandra_a_worker_is_alive_but_not_ready(bench: Bench) -> None:
    """The reason names rows that wait for more than a minute, with their age."""
    bench.dirty.since = int((time.time() - 50) * 1e6)
    assert bench.health.not_ready() == []
    bench.dirty.since = int((time.time() - 100) * 1e6)
    assert bench.health.not_ready() == ["Cassandra has not taken changed rows for 100 s"]
    bench.task.next_offset = 9
    bench.later(2)
    bench.later(100)
    assert bench.health.not_live() == []


def test_a_worker_with_a_stuck_task_is_not_live(bench: Bench) -> None:
    """The task has work, the servers answer, and it commits nothing for a minute."""
    bench.task.next_offset = 9
    bench.later(2)
    bench.later(61)
    assert bench.health.not_live() == ["count-0 has committed nothing for 60 s"]


def test_a_worker_whose_consumer_fetches_nothing_is_not_live(bench: Bench) -> None:
    """The topic grows, the broker answers, and the task receives nothing for a minute."""
    bench.later(2, lag=7)
    bench.later(61, lag=7)
    assert bench.health.not_live() == ["count-0 has committed nothing for 60 s"]


def test_a_worker_that_recovers_is_live(bench: Bench) -> None:
    """However long recovery takes, neither its lag nor an unknown lag is a reason to kill it."""
    bench.later(2, lag=None)
    bench.later(600, lag=None)
    assert bench.health.not_live() == []
    bench.stage.generation = -1
    bench.later(2, lag=7)
    bench.later(600, lag=7)
    assert bench.health.not_live() == []


def test_a_worker_without_a_cassandra_node_is_not_ready(bench: Bench) -> None:
    """The reason appears after 15 s, with the time; the worker stays live."""
    bench.worker.down_seconds = 15.0
    assert bench.health.not_ready() == []
    bench.worker.down_seconds = 16.0
    assert bench.health.not_ready() == ["no node of Cassandra has been up for 16 s"]
    assert bench.health.not_live() == []
