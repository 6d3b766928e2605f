"""Log messages about an outage of writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.cassandra.outage import WriteOutage

if TYPE_CHECKING:
    import pytest

LATE = {"WriteTimeout": "Operation timed out - received only 1 responses."}
FEW = {"Unavailable": "Cannot achieve consistency level LOCAL_QUORUM"}


def logged(caplog: pytest.LogCaptureFixture, *flushes: tuple[int, dict[str, str]]) -> list[str]:
    """The log messages after flushes that left so many rows for these reasons."""
    caplog.set_level("INFO")
    outage = WriteOutage()
    for unwritten, faults in flushes:
        outage.flushed(unwritten, faults)
    return caplog.messages


def test_each_reason_is_named_once_however_they_alternate(caplog: pytest.LogCaptureFixture) -> None:
    """Nodes that hang cause a time-out first, then too few nodes: the log has both reasons."""
    late_again = {"WriteTimeout": "Operation timed out - received only 2 responses."}
    assert logged(
        caplog,
        (0, {}),
        (7, LATE),
        (8, FEW),
        (9, late_again),
        (9, FEW),
        (0, LATE),
    ) == [
        (
            f"Cassandra did not acknowledge 7 rows ({LATE['WriteTimeout']}); "
            "the next flush retries them"
        ),
        f"Cassandra does not acknowledge rows for another reason, too ({FEW['Unavailable']})",
        "Cassandra has acknowledged all rows again",
    ]


def test_reasons_of_one_flush_share_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """The line names the first and the last reason."""
    (line,) = logged(caplog, (7, LATE | FEW))
    assert f"7 rows ({LATE['WriteTimeout']}; {FEW['Unavailable']}); the next" in line


def test_the_next_outage_is_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    """A reason of an earlier outage is logged again in the next one."""
    first = logged(caplog, (1, LATE), (0, {}), (2, LATE), (0, {}))
    assert [line.partition(" rows")[0] for line in first] == [
        "Cassandra did not acknowledge 1",
        "Cassandra has acknowledged all",
        "Cassandra did not acknowledge 2",
        "Cassandra has acknowledged all",
    ]


def test_rows_without_a_reason_had_no_time(caplog: pytest.LogCaptureFixture) -> None:
    """A flush that ran out of time reports the lack of time as the reason."""
    assert logged(caplog, (3, {})) == [
        "Cassandra did not acknowledge 3 rows (no time left); the next flush retries them"
    ]
