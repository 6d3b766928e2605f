"""Waits before the next connection follow X's published rules."""

from app.sources.reconnecting import Backoff


def test_network_errors_wait_a_quarter_of_a_second_more_each_time() -> None:
    """At once at first, 16 s at most."""
    backoff = Backoff()
    waits = [backoff.network() for _ in range(70)]
    assert waits[:4] == [0, 0.25, 0.5, 0.75]
    assert waits[-1] == 16


def test_http_errors_double_from_5_s_to_320_s() -> None:
    """Until a connection holds: then all begins anew."""
    backoff = Backoff()
    assert [backoff.http() for _ in range(9)] == [5, 10, 20, 40, 80, 160, 320, 320, 320]
    backoff.connected()
    assert backoff.http() == 5


def test_rate_limits_wait_until_the_reset_or_double_from_a_minute() -> None:
    """A reset that is past means a second; a guess is at most 15 minutes, the limit's window."""
    backoff = Backoff()
    assert backoff.limited(30.0) == 31
    assert backoff.limited(-5.0) == 1
    backoff.connected()
    assert [backoff.limited() for _ in range(6)] == [60, 120, 240, 480, 900, 900]
