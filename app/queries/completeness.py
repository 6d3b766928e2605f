"""When a window is final: no more lines count in it, and all that do are in the table.

One source partition is done with a window in one of these ways:

1. Its watermark, as it came with the partial counts that every owner has checkpointed, has passed
   the window's end by the grace. What comes later is late.
2. Nothing of it is on its way: its lines are all split and all partials are counted, for a while
   already (`REST_SECONDS`, since the workers are not asked at the same moment). Then its own
   watermark will do, which may not have come to every owner; or the wall clock, if it has been
   idle for the grace: a partition that gets no lines must not hold a window open for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from app.counting.windows import NO_WATERMARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from app.counting.windows import Windows

__all__ = ["CompletenessEvidence", "SourceState", "is_final"]

REST_SECONDS = 5.0


class SourceState(TypedDict):
    """One source partition, told by its owner: `watermark` in ms, how long it has been idle."""

    partition: int
    watermark: int
    idle_seconds: float
    drained: bool


class CompletenessEvidence(TypedDict):
    """What one worker knows about what is on its way.

    `marks`: of each source partition the watermark (ms) that all of this worker's partitions of the
    table have counted up to; None if it has none of them. `drained`: all partials of its partitions
    are counted. `sources`: the source partitions that it owns.
    """

    marks: dict[str, int] | None
    drained: bool
    sources: list[SourceState]


def is_final(
    start: int,
    windows: Windows,
    evidence: Sequence[CompletenessEvidence],
    source_partitions: int,
    now_ms: int,
) -> bool:
    """Whether the window is final by the evidence of all workers; False where that is unknown."""
    end = windows.end_of(start)
    if end is None:
        return False
    sources = {state["partition"]: state for worker in evidence for state in worker["sources"]}
    counted = all(worker["drained"] for worker in evidence)
    return all(
        windows.is_final(start, _least_mark(str(source), evidence))
        or (counted and source in sources and _rests(start, windows, sources[source], now_ms))
        for source in range(source_partitions)
    )


def _least_mark(source: str, evidence: Iterable[CompletenessEvidence]) -> int:
    marks = [worker["marks"] for worker in evidence if worker["marks"] is not None]
    return min((own.get(source, NO_WATERMARK) for own in marks), default=NO_WATERMARK)


def _rests(start: int, windows: Windows, state: SourceState, now_ms: int) -> bool:
    idle = state["idle_seconds"]
    if not state["drained"] or idle < REST_SECONDS:
        return False
    by_clock = windows.is_final(start, now_ms) and idle * 1000 >= windows.grace_ms
    return by_clock or windows.is_final(start, state["watermark"])
