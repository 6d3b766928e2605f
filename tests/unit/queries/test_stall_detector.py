"""How long tasks stand still."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from app.queries.stall_detector import StallDetector


class Clock:
    """A clock that goes when it is told."""

    now = 1000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


class Bench:
    """A tracker of one task, under a clock of its own."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.task = self.new_task()
        self.stage: Any = SimpleNamespace(name="split", topic="lines", tasks={3: self.task})
        self.tracker = StallDetector([self.stage], self.clock)
        self.tracker.look()

    def new_task(self, committed: int = 0, next_offset: int = 0) -> Any:
        """A task of partition 3."""
        return SimpleNamespace(partition=3, committed=(committed, ""), next_offset=next_offset)

    def later(self, seconds: float, *, excused: bool = False, behind: bool = False) -> None:
        """Look again after so many seconds."""
        self.clock.now += seconds
        self.tracker.look([("lines", 3)] if behind else [], excused=excused)

    @property
    def idle(self) -> float:
        """How long the task has been idle."""
        return self.tracker.idle_seconds(self.stage, 3)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_lane_is_idle_since_it_last_moved(bench: Bench) -> None:
    """Time counts from the last block, or from the last commit if that was later."""
    bench.later(5)
    assert bench.idle == 5
    bench.task.next_offset = 10
    assert bench.idle == 0
    bench.later(2)
    assert bench.idle == 0
    bench.task.committed = (10, "")
    bench.later(2)
    assert bench.idle == 0
    bench.later(7)
    assert bench.idle == 7


def test_what_is_not_there_is_not_idle(bench: Bench) -> None:
    """Of a task that nobody knows nothing is said."""
    assert bench.tracker.idle_seconds(bench.stage, 4) == 0


def test_a_lane_with_work_that_commits_nothing_gets_stuck(bench: Bench) -> None:
    """Its time begins with its work, not with its last commit long before."""
    bench.later(500)
    bench.task.next_offset = 10
    bench.later(2)
    bench.later(59)
    assert bench.tracker.stuck(60) == []
    bench.task.next_offset = 20
    bench.later(2)
    assert bench.tracker.stuck(60) == ["split-3"]
    bench.task.committed = (10, "")
    bench.later(2)
    assert bench.tracker.stuck(60) == []


def test_a_lane_that_is_brought_nothing_of_what_is_there_gets_stuck(bench: Bench) -> None:
    """A consumer that hangs leaves its tasks empty while the topic grows."""
    bench.later(2, behind=True)
    bench.later(59, behind=True)
    assert bench.tracker.stuck(60) == []
    bench.later(2, behind=True)
    assert bench.tracker.stuck(60) == ["split-3"]
    bench.later(2)
    assert bench.tracker.stuck(60) == []


def test_waiting_for_a_server_is_excused(bench: Bench) -> None:
    """While a server is away, and for a whole minute after, nobody is stuck."""
    bench.task.next_offset = 10
    bench.later(2)
    bench.later(600, excused=True)
    assert bench.tracker.stuck(60) == []
    bench.later(59)
    assert bench.tracker.stuck(60) == []
    bench.later(2)
    assert bench.tracker.stuck(60) == ["split-3"]


def test_a_lane_opened_afresh_starts_anew(bench: Bench) -> None:
    """After a rebalance the same partition is another task; one that is gone is forgotten."""
    bench.task.next_offset = 10
    bench.later(2)
    bench.later(100)
    bench.stage.tasks[3] = bench.new_task(0, 10)
    bench.later(2)
    assert bench.tracker.stuck(60) == []
    bench.stage.tasks.clear()
    bench.later(100)
    assert bench.tracker.stuck(60) == []
