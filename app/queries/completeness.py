"""When a window is complete (final): no more lines will count in it, and the table holds all.

One source partition is done with a window in one of two ways:

1. Its watermark has passed the window's end by the grace. The watermark counts as far as every
   owner of table partitions has checkpointed it with partial counts. Later lines are late.
2. Nothing of it is in flight: its lines are all split and all partials are counted, for
   `REST_SECONDS` already, since the workers do not answer at the same moment. Then its own
   watermark suffices, even if it has not reached every owner. The wall clock suffices too, once
   the partition has been idle for the grace: a partition without lines must not hold a window
   open for ever.
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
    """One source partition, as its owner sees it: `watermark` in ms, and how long it is idle."""

    partition: int
    watermark: int
    idle_seconds: float
    drained: bool


class CompletenessEvidence(TypedDict):
    """Evidence of one worker for the decision whether a window is final.

    `marks`: by source partition, the watermark (ms) up to which all of this worker's partitions of
    the table have counted; None if the worker owns no partition. `drained`: all partials of its
    partitions are counted. `sources`: the source partitions that it owns.
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
    """Whether the evidence of all workers shows that the window is final; False if unknown."""
    end = windows.end_of(start)
    if end is None:
        return False
    sources = {state["partition"]: state for worker in evidence for state in worker["sources"]}
    # A partial count may be in flight from any source to any owner, so all owners must be drained.
    all_counted = all(worker["drained"] for worker in evidence)
    return all(
        windows.is_final(start, _min_watermark(str(source), evidence))
        or (all_counted and source in sources and _at_rest(start, windows, sources[source], now_ms))
        for source in range(source_partitions)
    )


def _min_watermark(source: str, evidence: Iterable[CompletenessEvidence]) -> int:
    # An owner that lacks the source has counted nothing of it, and holds the window open. A worker
    # without partitions has no watermarks at all, and is left out.
    watermarks = [worker["marks"] for worker in evidence if worker["marks"] is not None]
    return min((each.get(source, NO_WATERMARK) for each in watermarks), default=NO_WATERMARK)


def _at_rest(start: int, windows: Windows, state: SourceState, now_ms: int) -> bool:
    # The workers' evidence is not of one moment: a record may have left one worker and not yet have
    # reached the next. A source at rest for some seconds has no such record.
    idle_seconds = state["idle_seconds"]
    if not state["drained"] or idle_seconds < REST_SECONDS:
        return False
    by_clock = windows.is_final(start, now_ms) and idle_seconds * 1000 >= windows.grace_ms
    return by_clock or windows.is_final(start, state["watermark"])
