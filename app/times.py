"""Times as the web answers write and read them: ISO 8601 with Z, or ms since the epoch."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

__all__ = ["iso", "parse_time"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CYCLE_MS = 146_097 * 86_400_000
"""400 years, after which the calendar repeats."""

_EXPANDED = re.compile(r"([+-][0-9]{6,})(-.+)")
_LIMIT = 1 << 62


def iso(ms: int) -> str:
    """Write `ms` since the epoch as ISO 8601 with Z; years past 9999 or before 1 as ±YYYYYY."""
    cycles, rest = divmod(ms + 62_135_596_800_000, _CYCLE_MS)
    moment = datetime(1, 1, 1, tzinfo=UTC) + timedelta(milliseconds=rest)
    year = moment.year + 400 * cycles
    shown = f"{year:04}" if 0 < year < 10_000 else f"{year:+07}"
    fraction = f".{moment.microsecond // 1000:03}" if moment.microsecond else ""
    return f"{shown}-{moment:%m-%dT%H:%M:%S}{fraction}Z"


def parse_time(text: str) -> int:
    """Read ISO 8601 (UTC where no offset is given) or ms since the epoch; gives ms.

    Raises ValueError for anything else.
    """
    text = text.strip()
    if re.fullmatch(r"-?[0-9]{1,19}", text):
        ms = int(text)
        if abs(ms) > _LIMIT:
            raise ValueError(f"{text} is out of range")
        return ms
    try:
        return _from_iso(text)
    except (ValueError, OverflowError):
        # In a query, + stands for a space: +01:00 may have come as " 01:00".
        repaired = re.sub(r" (\d\d:?\d\d)$", r"+\1", re.sub(r"^ (\d{6})", r"+\1", text))
        try:
            return _from_iso(repaired)
        except (ValueError, OverflowError):
            raise ValueError(f"{text[:40]!r} is neither ISO 8601 nor ms since the epoch") from None


def _from_iso(text: str) -> int:
    shift = 0
    if expanded := _EXPANDED.fullmatch(text):
        cycles, year = divmod(int(expanded[1]) - 1, 400)
        shift = cycles * _CYCLE_MS
        text = f"{year + 1:04}{expanded[2]}"
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(milliseconds=1) + shift
