"""How long each lane has stood still: what health and finality need, and offsets do not tell."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from app.kafka.stage import Lane, Stage

__all__ = ["LaneTracker"]


@dataclass(frozen=True, slots=True)
class _Seen:
    """Where a lane was, and since when (monotonic, seconds).

    `unchanged`: since when nothing has come in and nothing was committed. `at_work`: since when it
    has held blocks without committing any of them.
    """

    lane: Lane
    committed: int
    expected: int
    unchanged: float
    at_work: float

    @property
    def done(self) -> bool:
        return self.committed >= self.expected


class LaneTracker:
    """Looks at all lanes each time `look` is called; a lane opened afresh is a new one."""

    def __init__(
        self, stages: Iterable[Stage], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stages = stages
        self._clock = clock
        self._seen: dict[tuple[str, int], _Seen] = {}

    def look(self, *, excused: bool = False) -> None:
        """Take note of where each lane is; `excused`: that none moves on is no fault of theirs."""
        now = self._clock()
        self._seen = {
            (stage.name, partition): self._looked(stage.name, lane, now, excused=excused)
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
        """Lanes that hold blocks but have committed nothing for `seconds`, by name."""
        now = self._clock()
        return [
            f"{stage}-{partition}"
            for (stage, partition), seen in self._seen.items()
            if not seen.done and now - seen.at_work > seconds
        ]

    def _looked(self, stage: str, lane: Lane, now: float, *, excused: bool) -> _Seen:
        before = self._seen.get((stage, lane.partition))
        committed, expected = lane.committed[0], lane.expected
        if before is None or before.lane is not lane:
            return _Seen(lane, committed, expected, now, now)
        stands = committed == before.committed
        return _Seen(
            lane,
            committed,
            expected,
            before.unchanged if stands and expected == before.expected else now,
            before.at_work if stands and not before.done and not excused else now,
        )
