"""What an operator reads of an outage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.cassandra.outage import Outage

if TYPE_CHECKING:
    import pytest

LATE = {"WriteTimeout": "Operation timed out - received only 1 responses."}
FEW = {"Unavailable": "Cannot achieve consistency level LOCAL_QUORUM"}


def told(caplog: pytest.LogCaptureFixture, *flushes: tuple[int, dict[str, str]]) -> list[str]:
    """What is printed after flushes that left so many rows for these reasons."""
    caplog.set_level("INFO")
    outage = Outage()
    for unwritten, faults in flushes:
        outage.tell(unwritten, faults)
    return caplog.messages


def test_each_reason_is_named_once_however_they_alternate(caplog: pytest.LogCaptureFixture) -> None:
    """Nodes that hang time out before they are known to be too few: both are in the log."""
    late_again = {"WriteTimeout": "Operation timed out - received only 2 responses."}
    assert told(
        caplog,
        (0, {}),
        (7, LATE),
        (8, FEW),
        (9, late_again),
        (9, FEW),
        (0, LATE),
    ) == [
        f"Cassandra has not taken 7 rows ({LATE['WriteTimeout']}); they go with the next flush",
        f"Cassandra does not take rows for another reason, too ({FEW['Unavailable']})",
        "Cassandra has taken all rows again",
    ]


def test_reasons_of_one_flush_stand_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """None is left out for being the first or the last."""
    (line,) = told(caplog, (7, LATE | FEW))
    assert f"7 rows ({LATE['WriteTimeout']}; {FEW['Unavailable']}); they go" in line


def test_the_next_outage_is_told_anew(caplog: pytest.LogCaptureFixture) -> None:
    """A reason that was named in an outage that is over is named again."""
    first = told(caplog, (1, LATE), (0, {}), (2, LATE), (0, {}))
    assert [line.partition(" rows")[0] for line in first] == [
        "Cassandra has not taken 1",
        "Cassandra has taken all",
        "Cassandra has not taken 2",
        "Cassandra has taken all",
    ]


def test_rows_without_a_reason_had_no_time(caplog: pytest.LogCaptureFixture) -> None:
    """The last flush ends with its time, whatever is left."""
    assert told(caplog, (3, {})) == [
        "Cassandra has not taken 3 rows (no time left); they go with the next flush"
    ]
