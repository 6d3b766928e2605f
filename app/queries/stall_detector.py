"""How long each lane has stood still: what health and finality need, and offsets do not tell."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from app.kafka.stage import Lane, Stage

__all__ = ["LaneTracker"]


@dataclass(frozen=True, slots=True)
class _Seen:
    """Where a lane was, and since when (monotonic, seconds).

    `behind`: its topic holds more than it has committed. `unchanged`: since when nothing has come
    in and nothing was committed. `at_work`: since when it has had work without committing any.
    """

    lane: Lane
    committed: int
    expected: int
    behind: bool
    unchanged: float
    at_work: float

    @property
    def done(self) -> bool:
        return self.committed >= self.expected

    @property
    def has_work(self) -> bool:
        """Blocks that it holds, or records that it should have been brought."""
        return self.behind or not self.done


class LaneTracker:
    """Looks at all lanes each time `look` is called; a lane opened afresh is a new one."""

    def __init__(
        self, stages: Iterable[Stage], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stages = stages
        self._clock = clock
        self._seen: dict[tuple[str, int], _Seen] = {}

    def look(self, behind: Collection[tuple[str, int]] = (), *, excused: bool = False) -> None:
        """Take note of where each lane is.

        `behind`: topics and partitions that hold more than is committed; `excused`: that no lane
        moves on is no fault of theirs.
        """
        now = self._clock()
        self._seen = {
            (stage.name, partition): self._looked(
                stage.name, lane, now, behind=(stage.topic, partition) in behind, excused=excused
            )
            for stage in self._stages
            for partition, lane in stage.lanes.items()
        }

    def idle_seconds(self, stage: Stage, partition: int) -> float:
        """How long nothing has come into a lane and all that came is committed; 0 otherwise."""
        seen = self._seen.get((stage.name, partition))
        if seen is None or not seen.done or seen.lane.expected != seen.expected:
            return 0.0
        return self._clock() - seen.unchanged

    def stuck(self, seconds: float) -> list[str]:
        """Lanes that have had work but committed nothing for `seconds`, by name."""
        now = self._clock()
        return [
            f"{stage}-{partition}"
            for (stage, partition), seen in self._seen.items()
            if seen.has_work and now - seen.at_work > seconds
        ]

    def _looked(self, stage: str, lane: Lane, now: float, *, behind: bool, excused: bool) -> _Seen:
        before = self._seen.get((stage, lane.partition))
        committed, expected = lane.committed[0], lane.expected
        if before is None or before.lane is not lane:
            return _Seen(lane, committed, expected, behind, now, now)
        stands = committed == before.committed
        return _Seen(
            lane,
            committed,
            expected,
            behind,
            before.unchanged if stands and expected == before.expected else now,
            before.at_work if stands and before.has_work and not excused else now,
        )
