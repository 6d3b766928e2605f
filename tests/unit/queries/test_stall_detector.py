"""Detection of stalled and idle tasks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from app.queries.stall_detector import StallDetector


class Clock:
    """A clock that the test advances."""

    now = 1000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


class Bench:
    """A detector of one task, with a clock of its own."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.task = self.new_task()
        self.stage = self.new_stage()
        self.detector = StallDetector([self.stage], self.clock)
        self.detector.observe()

    def new_stage(self) -> Any:
        """A stage of the one task."""
        return SimpleNamespace(name="split", topic="lines", tasks={3: self.task})

    def new_task(self, committed: int = 0, next_offset: int = 0) -> Any:
        """A task of partition 3."""
        return SimpleNamespace(partition=3, committed=(committed, ""), next_offset=next_offset)

    def later(self, seconds: float, *, excused: bool = False, behind: bool = False) -> None:
        """Observe again after `seconds`."""
        self.clock.now += seconds
        self.detector.observe([("lines", 3)] if behind else [], excused=excused)

    @property
    def idle(self) -> float:
        """How long the task has been idle."""
        return self.detector.idle_seconds(self.stage, 3)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_task_is_idle_since_its_last_block_or_commit(bench: Bench) -> None:
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


def test_an_unknown_task_is_not_idle(bench: Bench) -> None:
    """A partition without a task has been idle for 0 seconds."""
    assert bench.detector.idle_seconds(bench.stage, 4) == 0


def test_a_task_with_work_that_commits_nothing_gets_stuck(bench: Bench) -> None:
    """Its time begins with its work, not with its last commit long before."""
    bench.later(500)
    bench.task.next_offset = 10
    bench.later(2)
    bench.later(59)
    assert bench.detector.stuck(60) == []
    bench.task.next_offset = 20
    bench.later(2)
    assert bench.detector.stuck(60) == ["split-3"]
    bench.task.committed = (10, "")
    bench.later(2)
    assert bench.detector.stuck(60) == []


def test_a_task_that_receives_nothing_while_its_topic_grows_gets_stuck(bench: Bench) -> None:
    """A consumer that hangs leaves its tasks empty while the topic grows."""
    bench.later(2, behind=True)
    bench.later(59, behind=True)
    assert bench.detector.stuck(60) == []
    bench.later(2, behind=True)
    assert bench.detector.stuck(60) == ["split-3"]
    bench.later(2)
    assert bench.detector.stuck(60) == []


def test_waiting_for_a_server_is_excused(bench: Bench) -> None:
    """No task is stuck while a server is away, and for a minute after."""
    bench.task.next_offset = 10
    bench.later(2)
    bench.later(600, excused=True)
    assert bench.detector.stuck(60) == []
    bench.later(59)
    assert bench.detector.stuck(60) == []
    bench.later(2)
    assert bench.detector.stuck(60) == ["split-3"]


def test_a_reopened_task_starts_from_the_beginning(bench: Bench) -> None:
    """After a rebalance the same partition has another task; a closed task is forgotten."""
    bench.task.next_offset = 10
    bench.later(2)
    bench.later(100)
    bench.stage.tasks[3] = bench.new_task(0, 10)
    bench.later(2)
    assert bench.detector.stuck(60) == []
    bench.stage.tasks.clear()
    bench.later(100)
    assert bench.detector.stuck(60) == []
