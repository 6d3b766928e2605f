"""Times in JSON and in questions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.times import iso, parse_iso, parse_time


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (1_795_383_600_000, "2026-11-22T21:40:00Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000, "+010000-01-01T00:00:00Z"),
        (1_795_383_600_000_000, "+058863-06-10T18:40:00Z"),
        (-62_135_596_800_000, "0001-01-01T00:00:00Z"),
        (-62_135_596_800_001, "+000000-12-31T23:59:59.999Z"),
        (-62_198_755_200_000, "-000001-01-01T00:00:00Z"),
    ],
)
def test_iso_writes_any_time(ms: int, text: str) -> None:
    """A time is written with Z, with ms only where there are some, in any year."""
    assert iso(ms) == text
    assert parse_time(text) == ms


@pytest.mark.parametrize(("ms", "text"), [(0, "00.000Z"), (250, "00.250Z"), (1000, "01.000Z")])
def test_iso_writes_the_fraction_always_if_it_is_asked_to(ms: int, text: str) -> None:
    """Times of log lines and of text columns are all of one length."""
    assert iso(ms, with_ms=True) == f"1970-01-01T00:00:{text}"


@pytest.mark.parametrize("text", ["", "0", "1795383600", "noon"])
def test_parse_iso_reads_no_numbers(text: str) -> None:
    """A bare number is not ISO 8601."""
    with pytest.raises(ValueError, match=r"isoformat|month"):
        parse_iso(text)


@given(st.integers(-(1 << 60), 1 << 60))
def test_parse_time_reads_what_iso_writes(ms: int) -> None:
    """Writing and reading are inverse, far beyond the years of datetime."""
    assert parse_time(iso(ms)) == ms


@given(st.datetimes(timezones=st.just(UTC)))
def test_iso_agrees_with_datetime(moment: datetime) -> None:
    """Within datetime's years, iso writes what datetime would."""
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert datetime.fromisoformat(iso(parse_time(moment.isoformat()))) == moment


@pytest.mark.parametrize(
    "text",
    [
        "1795383600000",
        " 1795383600000 ",
        "2026-11-22T21:40:00Z",
        "2026-11-22T21:40:00.000Z",
        "2026-11-22T21:40",
        "2026-11-22 21:40",
        "20261122T214000Z",
        "2026-11-22T22:40:00+01:00",
        "2026-11-22T22:40:00 01:00",
    ],
)
def test_parse_time_takes_iso_and_ms(text: str) -> None:
    """ISO 8601 with or without an offset is read, ms too, and a + that came as a space."""
    assert parse_time(text) == 1_795_383_600_000


@pytest.mark.parametrize("text", ["", "noon", "2026-13-01", "1e3", "1_000", "٣", "9" * 20, "-"])
def test_parse_time_refuses_the_rest(text: str) -> None:
    """The error names the text that is no time."""
    with pytest.raises(ValueError, match=r"ISO 8601|out of range"):
        parse_time(text)
