"""Ready, alive, and why not."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from app.queries.health import Health
from app.queries.local import Lag
from app.queries.membership import Membership
from app.queries.stall_detector import StallDetector


class Bench:
    """A healthy worker with one task, to be spoilt."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.away = 0.0
        self.dirty = SimpleNamespace(since=None)
        self.task: Any = SimpleNamespace(partition=0, committed=(5, ""), next_offset=5)
        self.working = frozenset({0})
        self.stage: Any = SimpleNamespace(
            name="count",
            topic="partials",
            tasks={0: self.task},
            generation=3,
            working=lambda: self.working,
        )
        self.app: Any = SimpleNamespace(
            failure=None,
            should_stop=False,
            in_recovery=False,
            rebalancing_count=1,
            consumer_generation_id=3,
            stages=[self.stage],
            table=SimpleNamespace(owned={0: SimpleNamespace(dirty=self.dirty)}),
            settings=SimpleNamespace(flush_interval_ms=1000),
            sink=SimpleNamespace(nodes=SimpleNamespace(none_up_seconds=lambda: self.away)),
        )
        self.contact = Membership(60, 3, lambda: self.now)
        self.contact.answered()
        tracker = StallDetector([self.stage], lambda: self.now)
        self.health = Health(self.app, tracker, self.contact)
        self.health.look()

    def later(self, seconds: float, *, broker: bool = True, lag: int | None = 0) -> None:
        """Look again after so many seconds, in which the broker answered or not."""
        self.now += seconds
        if broker:
            self.contact.answered()
        self.health.look([Lag("partials", 0, lag)])


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_worker_that_works_is_ready_and_live(bench: Bench) -> None:
    """Tasks at work, a broker that answers, nothing long unflushed."""
    assert bench.health.state == "working"
    assert bench.health.not_ready() == []
    assert bench.health.not_live() == []


def test_states_have_names(bench: Bench) -> None:
    """Starting, rebalancing, recovering, stopping and failed are told apart; none is ready."""
    bench.stage.generation = -1
    assert bench.health.not_ready() == ["the worker is rebalancing"]
    bench.app.in_recovery = True
    assert bench.health.not_ready() == ["the worker is recovering"]
    bench.app.in_recovery, bench.app.rebalancing_count = False, 0
    assert bench.health.not_ready() == ["the worker is starting"]
    bench.app.should_stop = True
    assert bench.health.not_ready() == ["the worker is stopping"]
    assert bench.health.not_live() == []
    bench.app.failure = RuntimeError("disk full")
    assert bench.health.not_ready() == ["the worker has failed: disk full"]
    assert bench.health.not_live() == ["the worker has failed: disk full"]


def test_a_lane_that_has_ended_is_not_work(bench: Bench) -> None:
    """A fenced task makes the worker unready until the rebalance that follows."""
    bench.working = frozenset()
    assert bench.health.not_ready() == ["the worker is rebalancing"]


def test_without_a_broker_a_worker_is_alive_but_not_ready(bench: Bench) -> None:
    """However long the broker is away, and with work in hand, a restart would not help."""
    bench.task.next_offset = 9
    bench.later(2)
    bench.later(600, broker=False)
    assert bench.health.not_ready() == ["no broker has answered for 15 s"]
    assert bench.health.not_live() == []


def test_without_cassandra_a_worker_is_alive_but_not_ready(bench: Bench) -> None:
    """Rows that Cassandra leaves untaken for more than a minute are told, with their age."""
    bench.dirty.since = int((time.time() - 50) * 1e6)
    assert bench.health.not_ready() == []
    bench.dirty.since = int((time.time() - 100) * 1e6)
    assert bench.health.not_ready() == ["Cassandra has not taken changed rows for 100 s"]
    bench.task.next_offset = 9
    bench.later(2)
    bench.later(100)
    assert bench.health.not_live() == []


def test_a_lane_stuck_for_no_reason_means_death(bench: Bench) -> None:
    """Work in hand, servers there, nothing committed for a minute: a restart will help."""
    bench.task.next_offset = 9
    bench.later(2)
    bench.later(61)
    assert bench.health.not_live() == ["count-0 has committed nothing for 60 s"]


def test_a_consumer_that_brings_nothing_means_death(bench: Bench) -> None:
    """The topic grows, the broker answers, and nothing comes in for a minute."""
    bench.later(2, lag=7)
    bench.later(61, lag=7)
    assert bench.health.not_live() == ["count-0 has committed nothing for 60 s"]


def test_nothing_is_brought_to_a_worker_that_recovers(bench: Bench) -> None:
    """However long recovery takes, its lag is no reason to kill it; nor is one that is unknown."""
    bench.later(2, lag=None)
    bench.later(600, lag=None)
    assert bench.health.not_live() == []
    bench.stage.generation = -1
    bench.later(2, lag=7)
    bench.later(600, lag=7)
    assert bench.health.not_live() == []


def test_a_worker_that_no_node_of_cassandra_answers_is_not_ready(bench: Bench) -> None:
    """After 15 s, with the time in the reason; it lives all the same."""
    bench.away = 15.0
    assert bench.health.not_ready() == []
    bench.away = 16.0
    assert bench.health.not_ready() == ["no node of Cassandra has been up for 16 s"]
    assert bench.health.not_live() == []
