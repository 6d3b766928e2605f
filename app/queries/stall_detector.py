"""Detects stalled and idle tasks: how long each task has neither received nor committed records.

Health and window completeness need these durations, and committed offsets do not show them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from app.kafka.stage import Stage
    from app.kafka.task import PartitionTask

__all__ = ["StallDetector"]


@dataclass(frozen=True, slots=True)
class _Observation:
    """The position of a task, and since when it has been there (monotonic clock, seconds).

    `behind`: its topic holds more records than the task has committed. `unchanged_since`: when
    records last came in or were committed. `waiting_since`: since when the task has had work
    without committing any of it.
    """

    task: PartitionTask
    committed: int
    next_offset: int
    behind: bool
    unchanged_since: float
    waiting_since: float

    @property
    def all_committed(self) -> bool:
        return self.committed >= self.next_offset

    @property
    def has_work(self) -> bool:
        """Whether it holds blocks, or its topic holds records that were not fetched for it."""
        return self.behind or not self.all_committed


class StallDetector:
    """Compares all tasks with their last observation; a reopened task starts from the beginning."""

    def __init__(
        self, stages: Iterable[Stage], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stages = stages
        self._clock = clock
        self._observed: dict[tuple[str, int], _Observation] = {}

    def observe(self, behind: Collection[tuple[str, int]] = (), *, excused: bool = False) -> None:
        """Observe the position of each task.

        `behind`: topics and partitions that hold more records than are committed. `excused`: the
        tasks wait for a server, so a lack of progress is not theirs.
        """
        now = self._clock()
        self._observed = {
            (stage.name, partition): self._observation(
                stage.name, task, now, behind=(stage.topic, partition) in behind, excused=excused
            )
            for stage in self._stages
            for partition, task in stage.tasks.items()
        }

    def idle_seconds(self, stage: Stage, partition: int) -> float:
        """How long a task has received nothing while all it received is committed; 0 otherwise."""
        seen = self._observed.get((stage.name, partition))
        # The task may have received records since the last observation: then it is not idle.
        if seen is None or not seen.all_committed or seen.task.next_offset != seen.next_offset:
            return 0.0
        return self._clock() - seen.unchanged_since

    def stuck(self, seconds: float) -> list[str]:
        """Names of the tasks that have had work for `seconds` without committing any of it."""
        now = self._clock()
        return [
            f"{stage}-{partition}"
            for (stage, partition), seen in self._observed.items()
            if seen.has_work and now - seen.waiting_since > seconds
        ]

    def _observation(
        self, stage: str, task: PartitionTask, now: float, *, behind: bool, excused: bool
    ) -> _Observation:
        before = self._observed.get((stage, task.partition))
        committed, next_offset = task.committed[0], task.next_offset
        if before is None or before.task is not task:
            return _Observation(task, committed, next_offset, behind, now, now)
        # The time without a commit runs from when work appears, not from the last commit.
        # So the first record after an idle hour does not make a task stuck at once. An excuse
        # restarts the time, so a task has all of it once the server is back.
        no_commit = committed == before.committed
        return _Observation(
            task,
            committed,
            next_offset,
            behind,
            before.unchanged_since if no_commit and next_offset == before.next_offset else now,
            before.waiting_since if no_commit and before.has_work and not excused else now,
        )
