"""When a window is final."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from app.counting.windows import NO_WATERMARK, Windows
from app.queries.completeness import REST_SECONDS, is_final

if TYPE_CHECKING:
    from app.queries.completeness import CompletenessEvidence

WINDOWS = Windows(60_000, None, 10_000, 3_600_000)
CLOSED = 70_000
"""The watermark at which the window that starts at 0 is final."""

LONG_AGO = 10_000_000
"""A time of the wall clock long after the window's end."""


def source(partition: int, **state: Any) -> Any:
    resting = {"watermark": 0, "idle_seconds": 3600.0, "drained": True}
    return {"partition": partition, **resting, **state}


def worker(
    marks: dict[str, int] | None = None, sources: tuple[Any, ...] = (), *, drained: bool = True
) -> CompletenessEvidence:
    return {"marks": marks, "drained": drained, "sources": list(sources)}


def final(*evidence: CompletenessEvidence, now: int = LONG_AGO, windows: Windows = WINDOWS) -> bool:
    return is_final(0, windows, evidence, 2, now)


def test_a_window_is_final_once_every_owner_has_counted_past_it() -> None:
    """The lowest watermark of all owners decides, for every source."""
    past = {"0": CLOSED, "1": CLOSED + 5}
    assert final(worker(past), worker(past), now=0)
    assert not final(worker(past), worker({**past, "1": CLOSED - 1}), now=0)
    assert not final(worker(past), worker({"0": CLOSED}), now=0)


def test_a_worker_without_partitions_does_not_delay_a_window() -> None:
    """A spare worker has no watermarks, and needs none."""
    past = {"0": CLOSED, "1": CLOSED}
    assert final(worker(past), worker(None), now=0)
    assert not final(worker(None), now=0)


def test_idle_sources_are_closed_by_the_clock() -> None:
    """A source without lines for the grace, or ever, does not hold a window open."""
    idle = worker({}, (source(0), source(1, watermark=NO_WATERMARK)))
    assert final(idle)
    assert not final(idle, now=CLOSED - 1)


def test_a_source_s_own_watermark_suffices_once_all_is_counted() -> None:
    """An owner without recent words does not have the watermark yet; nothing is in flight."""
    states = [source(0, watermark=CLOSED, idle_seconds=REST_SECONDS), source(1, watermark=CLOSED)]
    assert final(worker({}, tuple(states)), now=0)


@pytest.mark.parametrize(
    "evidence",
    [
        worker({}, (source(0),)),
        worker({}, (source(0), source(1, drained=False))),
        worker({}, (source(0), source(1, idle_seconds=9.0))),
        worker({}, (source(0), source(1, watermark=CLOSED, idle_seconds=1.0))),
        worker({}, (source(0), source(1)), drained=False),
    ],
    ids=["unknown source", "lines in flight", "not idle", "just now", "partials in flight"],
)
def test_records_that_may_be_in_flight_keep_a_window_open(evidence: CompletenessEvidence) -> None:
    """While records are in flight, or may be, the window is not final."""
    assert not final(evidence)


def test_one_endless_window_is_never_final() -> None:
    """Running totals never end."""
    endless = Windows(None, None, 10_000, 3_600_000)
    assert not final(worker({"0": LONG_AGO, "1": LONG_AGO}), windows=endless)
