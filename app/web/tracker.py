"""How long each lane has stood still: what health and finality need, and offsets do not tell."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from app.kafka.stage import Lane, Stage

__all__ = ["LaneTracker"]


@dataclass(slots=True)
class _Seen:
    """Where a lane was, and since when (monotonic, seconds)."""

    lane: Lane
    committed: int
    expected: int
    committed_since: float
    expected_since: float


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
        seen = {}
        for stage in self._stages:
            for partition, lane in stage.lanes.items():
                key = (stage.name, partition)
                seen[key] = _looked(None if excused else self._seen.get(key), lane, now)
        self._seen = seen

    def idle_seconds(self, stage: Stage, partition: int) -> float:
        """How long nothing has come into a lane and all that came is committed; 0 otherwise."""
        seen = self._seen.get((stage.name, partition))
        if seen is None or seen.lane.committed[0] < seen.lane.expected:
            return 0.0
        return self._clock() - max(seen.expected_since, seen.committed_since)

    def stuck(self, seconds: float) -> list[str]:
        """Lanes that hold blocks but have committed nothing for `seconds`, by name."""
        now = self._clock()
        return [
            f"{stage}-{partition}"
            for (stage, partition), seen in self._seen.items()
            if seen.committed < seen.expected and now - seen.committed_since > seconds
        ]


def _looked(before: _Seen | None, lane: Lane, now: float) -> _Seen:
    committed, expected = lane.committed[0], lane.expected
    if before is None or before.lane is not lane:
        return _Seen(lane, committed, expected, now, now)
    was_done = before.committed >= before.expected
    return _Seen(
        lane,
        committed,
        expected,
        # A lane with nothing to do makes no progress either: its time begins with its work.
        before.committed_since if committed == before.committed and not was_done else now,
        before.expected_since if expected == before.expected else now,
    )
