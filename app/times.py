"""ISO 8601 times: the one place that writes and reads them. All times are ms since 1970 (UTC)."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

__all__ = ["YEAR_1_MS", "YEAR_10000_MS", "iso", "now_ms", "parse_iso", "parse_time"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
YEAR_1_MS = -62_135_596_800_000
YEAR_10000_MS = 253_402_300_800_000

# datetime ends at the year 9999. The Gregorian calendar repeats every 400 years, so any other year
# is computed as its twin within datetime's range, and the number of cycles is put back afterwards.
_CYCLE_MS = 146_097 * 86_400_000
"""400 years."""

_EXPANDED = re.compile(r"([+-][0-9]{6,})(-.+)")
_LIMIT = 1 << 62


def now_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000


def iso(ms: int, *, with_ms: bool = False) -> str:
    """Write a time as ISO 8601 with Z; years past 9999 or before 1 as ±YYYYYY.

    A fraction is written only if the time is no whole second, or always if `with_ms` is set.
    """
    cycles, rest = divmod(ms - YEAR_1_MS, _CYCLE_MS)
    moment = datetime(1, 1, 1, tzinfo=UTC) + timedelta(milliseconds=rest)
    year = moment.year + 400 * cycles
    shown = f"{year:04}" if 0 < year < 10_000 else f"{year:+07}"
    fraction = f".{moment.microsecond // 1000:03}" if with_ms or moment.microsecond else ""
    # Not strftime's %Y: it writes the year 1 with one digit.
    return f"{shown}-{moment:%m-%dT%H:%M:%S}{fraction}Z"


def parse_iso(text: str) -> int:
    """Read ISO 8601 (UTC where it names no offset). Raises ValueError or OverflowError."""
    shift = 0
    if expanded := _EXPANDED.fullmatch(text):
        cycles, year = divmod(int(expanded[1]) - 1, 400)
        shift = cycles * _CYCLE_MS
        text = f"{year + 1:04}{expanded[2]}"
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(milliseconds=1) + shift


def parse_time(text: str) -> int:
    """Read ISO 8601 (UTC where it names no offset), or a number of ms since 1970.

    Raises ValueError for anything else.
    """
    text = text.strip()
    if re.fullmatch(r"-?[0-9]{1,19}", text):
        ms = int(text)
        if abs(ms) > _LIMIT:
            raise ValueError(f"{text} is out of range")
        return ms
    try:
        return parse_iso(text)
    except (ValueError, OverflowError):
        # In a query, + stands for a space: +01:00 may have come as " 01:00".
        repaired = re.sub(r" (\d\d:?\d\d)$", r"+\1", re.sub(r"^ (\d{6})", r"+\1", text))
        try:
            return parse_iso(repaired)
        except (ValueError, OverflowError):
            raise ValueError(f"{text[:40]!r} is neither ISO 8601 nor ms since the epoch") from None
