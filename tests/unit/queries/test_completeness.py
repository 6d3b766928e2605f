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
"""A wall clock by which it ended long ago."""


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
    """What counts is the least watermark that any owner has counted up to, of every source."""
    past = {"0": CLOSED, "1": CLOSED + 5}
    assert final(worker(past), worker(past), now=0)
    assert not final(worker(past), worker({**past, "1": CLOSED - 1}), now=0)
    assert not final(worker(past), worker({"0": CLOSED}), now=0)


def test_a_worker_that_owns_nothing_of_the_table_holds_nothing_back() -> None:
    """A spare worker has heard of no source, and need not."""
    past = {"0": CLOSED, "1": CLOSED}
    assert final(worker(past), worker(None), now=0)
    assert not final(worker(None), now=0)


def test_idle_sources_are_closed_by_the_clock() -> None:
    """Sources that got no line for the grace, or never one, hold no window open for ever."""
    idle = worker({}, (source(0), source(1, watermark=NO_WATERMARK)))
    assert final(idle)
    assert not final(idle, now=CLOSED - 1)


def test_a_source_s_own_watermark_will_do_once_all_is_counted() -> None:
    """An owner that got no word lately has not heard of the watermark; nothing is on its way."""
    told = [source(0, watermark=CLOSED, idle_seconds=REST_SECONDS), source(1, watermark=CLOSED)]
    assert final(worker({}, tuple(told)), now=0)


@pytest.mark.parametrize(
    "evidence",
    [
        worker({}, (source(0),)),
        worker({}, (source(0), source(1, drained=False))),
        worker({}, (source(0), source(1, idle_seconds=9.0))),
        worker({}, (source(0), source(1, watermark=CLOSED, idle_seconds=1.0))),
        worker({}, (source(0), source(1)), drained=False),
    ],
    ids=["unknown source", "lines on their way", "not idle", "just now", "partials on their way"],
)
def test_whatever_may_still_come_keeps_a_window_open(evidence: CompletenessEvidence) -> None:
    """As long as something is on its way, or may be, the window is not final."""
    assert not final(evidence)


def test_one_endless_window_is_never_final() -> None:
    """Running totals go on."""
    endless = Windows(None, None, 10_000, 3_600_000)
    assert not final(worker({"0": LONG_AGO, "1": LONG_AGO}), windows=endless)
