"""How long each task has stood still: what health and finality need, and offsets do not tell."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from app.kafka.stage import PartitionTask, Stage

__all__ = ["StallDetector"]


@dataclass(frozen=True, slots=True)
class _Seen:
    """Where a task was, and since when (monotonic, seconds).

    `behind`: its topic holds more than it has committed. `unchanged`: since when nothing has come
    in and nothing was committed. `at_work`: since when it has had work without committing any.
    """

    task: PartitionTask
    committed: int
    next_offset: int
    behind: bool
    unchanged: float
    at_work: float

    @property
    def done(self) -> bool:
        return self.committed >= self.next_offset

    @property
    def has_work(self) -> bool:
        """Blocks that it holds, or records that it should have been brought."""
        return self.behind or not self.done


class StallDetector:
    """Looks at all tasks each time `look` is called; a task opened afresh is a new one."""

    def __init__(
        self, stages: Iterable[Stage], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stages = stages
        self._clock = clock
        self._seen: dict[tuple[str, int], _Seen] = {}

    def look(self, behind: Collection[tuple[str, int]] = (), *, excused: bool = False) -> None:
        """Take note of where each task is.

        `behind`: topics and partitions that hold more than is committed; `excused`: that no task
        moves on is no fault of theirs.
        """
        now = self._clock()
        self._seen = {
            (stage.name, partition): self._looked(
                stage.name, task, now, behind=(stage.topic, partition) in behind, excused=excused
            )
            for stage in self._stages
            for partition, task in stage.tasks.items()
        }

    def idle_seconds(self, stage: Stage, partition: int) -> float:
        """How long nothing has come into a task and all that came is committed; 0 otherwise."""
        seen = self._seen.get((stage.name, partition))
        if seen is None or not seen.done or seen.task.next_offset != seen.next_offset:
            return 0.0
        return self._clock() - seen.unchanged

    def stuck(self, seconds: float) -> list[str]:
        """Tasks that have had work but committed nothing for `seconds`, by name."""
        now = self._clock()
        return [
            f"{stage}-{partition}"
            for (stage, partition), seen in self._seen.items()
            if seen.has_work and now - seen.at_work > seconds
        ]

    def _looked(
        self, stage: str, task: PartitionTask, now: float, *, behind: bool, excused: bool
    ) -> _Seen:
        before = self._seen.get((stage, task.partition))
        committed, next_offset = task.committed[0], task.next_offset
        if before is None or before.task is not task:
            return _Seen(task, committed, next_offset, behind, now, now)
        stands = committed == before.committed
        return _Seen(
            task,
            committed,
            next_offset,
            behind,
            before.unchanged if stands and next_offset == before.next_offset else now,
            before.at_work if stands and before.has_work and not excused else now,
        )
