"""Event times: implausible ones, and those that a topic refuses, give way to the clock."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

from app.sources.throttled_output import ThrottledOutput
from app.times import iso, now_ms

if TYPE_CHECKING:
    from app.sources.base import Batch

__all__ = ["TimestampBounds", "TimestampClamp", "sane"]

_AHEAD_MS = 10 * 60_000
"""How far ahead of this machine's clock a time may be; Kafka refuses an hour."""

_EARLIEST_MS = 100_000_000_000
"""A time in 1973; smaller numbers are seconds, given by mistake."""

_CLOCKS_DIFFER_MS = 60_000
"""Largest difference between the clocks of this machine and the broker."""

_WITHOUT_END_MS = 1 << 62


def sane(timestamp_ms: int, earliest_ms: int = _EARLIEST_MS) -> int | None:
    """The time, in ms since 1970, or None if it is implausible."""
    latest = now_ms() + _AHEAD_MS
    return timestamp_ms if earliest_ms <= timestamp_ms <= latest else None


class TimestampBounds(NamedTuple):
    """Limits of a topic, in ms, on the distance of a message's time from the clock."""

    before_ms: int = _WITHOUT_END_MS
    """message.timestamp.before.max.ms."""
    after_ms: int = 3_600_000
    """message.timestamp.after.max.ms."""

    def refusal(self, timestamp_ms: int) -> str:
        """Why Kafka would refuse a message of that time, with the remedy; '' if it accepts it."""
        ahead = timestamp_ms - now_ms()
        if ahead > self.after_ms - _margin(self.after_ms):
            return _refusal(self.after_ms, "after")
        if -ahead > self.before_ms - _margin(self.before_ms):
            return _refusal(self.before_ms, "before")
        return ""


class TimestampClamp:
    """Removes times that a topic refuses from batches, so that the clock dates their lines.

    Otherwise one line of a wrong time would end the stream: Kafka refuses its produce batch
    permanently. Each kind of refusal is printed, at most once per interval.
    """

    def __init__(self, topic: str, times: TimestampBounds) -> None:
        self._topic = topic
        self._times = times
        self._output = ThrottledOutput()
        self.restamped = 0
        """Lines that got the present time."""

    def __call__(self, batch: Batch) -> Batch:
        """Return the batch, without its time if the topic refuses it."""
        if batch.timestamp_ms is None:
            return batch
        refusal = self._times.refusal(batch.timestamp_ms)
        if not refusal:
            return batch
        self.restamped += batch.lines
        self._output.notify(
            refusal,
            f"{batch.lines} lines of the time {iso(batch.timestamp_ms)} are sent with the time "
            f"of now: topic {self._topic} {refusal}",
        )
        return dataclasses.replace(batch, timestamp_ms=None)


def _refusal(limit_ms: int, side: str) -> str:
    where = "ahead of" if side == "after" else "behind"
    return (
        f"takes none more than {limit_ms / 1000:,.0f} s {where} the clock; "
        f"fix the time, or raise the topic's message.timestamp.{side}.max.ms"
    )


def _margin(limit_ms: int) -> int:
    # A tenth of a small limit: a margin of a minute would leave nothing of it.
    return min(_CLOCKS_DIFFER_MS, limit_ms // 10)
