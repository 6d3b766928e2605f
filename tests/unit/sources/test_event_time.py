"""Implausible event times, and those that a topic refuses, give way to the clock."""

import time

import pytest

from app.sources.base import Batch
from app.sources.event_time import TimestampBounds, TimestampClamp, sane
from app.times import iso


def test_a_time_may_be_a_little_ahead_but_not_so_much_that_kafka_refuses_it() -> None:
    """Ten minutes are allowed, since clocks differ; Kafka's own limit is an hour."""
    now_ms = time.time_ns() // 1_000_000
    assert sane(now_ms + 500_000) == now_ms + 500_000
    assert sane(now_ms + 700_000) is None


@pytest.mark.parametrize("timestamp_ms", [-1, 0, 1_750_000_000, 10**18])
def test_seconds_and_nonsense_are_no_times(timestamp_ms: int) -> None:
    """Their lines get the time of reading."""
    assert sane(timestamp_ms) is None


HOUR_MS = 3_600_000


def test_times_that_the_topic_takes_stay_as_they_are() -> None:
    """Times of the past, of now and of the next minutes; a batch without a time stays so."""
    now_ms = time.time_ns() // 1_000_000
    timely = TimestampClamp("lines", TimestampBounds())
    for timestamp_ms in (None, 0, now_ms, now_ms + HOUR_MS - 100_000):
        batch = Batch(b"a", 1, timestamp_ms)
        assert timely(batch) is batch
    assert timely.restamped == 0


@pytest.mark.parametrize(
    ("shift_ms", "side"), [(HOUR_MS, "after"), (10**17, "after"), (-2 * HOUR_MS, "before")]
)
def test_a_time_that_the_topic_refuses_is_removed_and_reported_once(
    shift_ms: int, side: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report has the time and the remedy; the lines are counted and otherwise unchanged."""
    timestamp_ms = time.time_ns() // 1_000_000 + shift_ms
    timely = TimestampClamp("lines", TimestampBounds(before_ms=2 * HOUR_MS))
    for _ in range(3):
        found = timely(
            Batch(b"a\nb", 2, timestamp_ms, "here", headers=(("h", b"v"),), partition_key=1)
        )
        assert found == Batch(b"a\nb", 2, None, "here", headers=(("h", b"v"),), partition_key=1)
    assert timely.restamped == 6
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"2 lines of the time {iso(timestamp_ms)} are sent with the time of now" in said
    assert f"message.timestamp.{side}.max.ms" in said


def test_a_small_limit_leaves_less_room_for_clocks() -> None:
    """The margin is a tenth of the limit, and at most a minute."""
    now_ms = time.time_ns() // 1_000_000
    assert not TimestampBounds(after_ms=10_000).refusal(now_ms + 8_000)
    assert TimestampBounds(after_ms=10_000).refusal(now_ms + 10_000)
