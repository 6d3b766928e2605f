"""Only event times that can be meant are taken over."""

import time

import pytest

from app.sources.event_time import sane


def test_a_time_may_be_a_little_ahead_but_not_so_much_that_kafka_refuses_it() -> None:
    """Ten minutes: clocks differ. Kafka's own limit is an hour."""
    now_ms = time.time_ns() // 1_000_000
    assert sane(now_ms + 500_000) == now_ms + 500_000
    assert sane(now_ms + 700_000) is None


@pytest.mark.parametrize("timestamp_ms", [-1, 0, 1_750_000_000, 10**18])
def test_seconds_and_nonsense_are_no_times(timestamp_ms: int) -> None:
    """They are left to the reader's clock."""
    assert sane(timestamp_ms) is None
