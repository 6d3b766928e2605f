"""Event times that peers claim: those that can't be meant are left to the reader's clock."""

from __future__ import annotations

import time

__all__ = ["sane"]

_AHEAD_MS = 10 * 60_000
"""How far ahead of this machine's clock a time may be: Kafka refuses what is an hour ahead."""

_EARLIEST_MS = 100_000_000_000
"""In 1973; what is smaller is seconds, by mistake."""


def sane(timestamp_ms: int, earliest_ms: int = _EARLIEST_MS) -> int | None:
    """The time, in ms since 1970, or None where it can't be meant."""
    latest = time.time_ns() // 1_000_000 + _AHEAD_MS
    return timestamp_ms if earliest_ms <= timestamp_ms <= latest else None
