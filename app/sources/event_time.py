"""Event times: what can't be meant, and what a topic refuses, is left to the reader's clock."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, NamedTuple

from app.sources.throttled_output import ThrottledOutput
from app.times import iso

if TYPE_CHECKING:
    from app.sources.base import Batch

__all__ = ["TimestampBounds", "TimestampClamp", "sane"]

_AHEAD_MS = 10 * 60_000
"""How far ahead of this machine's clock a time may be: Kafka refuses what is an hour ahead."""

_EARLIEST_MS = 100_000_000_000
"""In 1973; what is smaller is seconds, by mistake."""

_CLOCKS_DIFFER_MS = 60_000
"""Of this machine and the broker; of a smaller limit, a tenth."""

_WITHOUT_END_MS = 1 << 62


def sane(timestamp_ms: int, earliest_ms: int = _EARLIEST_MS) -> int | None:
    """The time, in ms since 1970, or None where it can't be meant."""
    latest = _now_ms() + _AHEAD_MS
    return timestamp_ms if earliest_ms <= timestamp_ms <= latest else None


class TimestampBounds(NamedTuple):
    """How far from the clock the times of a topic's messages may be, in ms."""

    before_ms: int = _WITHOUT_END_MS
    """message.timestamp.before.max.ms."""
    after_ms: int = 3_600_000
    """message.timestamp.after.max.ms."""

    def refusal(self, timestamp_ms: int) -> str:
        """Why Kafka would refuse a message of that time, and the remedy; '' if it takes it."""
        ahead = timestamp_ms - _now_ms()
        if ahead > self.after_ms - _margin(self.after_ms):
            return _refusal(self.after_ms, "after")
        if -ahead > self.before_ms - _margin(self.before_ms):
            return _refusal(self.before_ms, "before")
        return ""


class TimestampClamp:
    """Batches with times that their topic takes: those of others are dated by the clock, and said.

    Else one line of a wrong time would end the stream: Kafka refuses its whole batch, for good.
    """

    def __init__(self, topic: str, times: TimestampBounds) -> None:
        self._topic = topic
        self._times = times
        self._notices = ThrottledOutput()
        self.restamped = 0
        """Lines that were dated by the clock."""

    def __call__(self, batch: Batch) -> Batch:
        """The batch, or one without a time."""
        if batch.timestamp_ms is None:
            return batch
        refusal = self._times.refusal(batch.timestamp_ms)
        if not refusal:
            return batch
        self.restamped += batch.lines
        self._notices.say(
            refusal,
            f"{batch.lines} lines of the time {iso(batch.timestamp_ms)} are sent with the time "
            f"of now: topic {self._topic} {refusal}",
        )
        return dataclasses.replace(batch, timestamp_ms=None)


def _refusal(limit_ms: int, side: str) -> str:
    where = "ahead of" if side == "after" else "behind"
    return (
        f"takes none more than {limit_ms / 1000:,.0f} s {where} the clock; "
        f"mend the time, or raise the topic's message.timestamp.{side}.max.ms"
    )


def _margin(limit_ms: int) -> int:
    return min(_CLOCKS_DIFFER_MS, limit_ms // 10)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
