"""The waits before the next connection follow X's published rules."""

from app.sources.reconnecting import ReconnectPolicy


def test_network_errors_wait_a_quarter_of_a_second_more_each_time() -> None:
    """The first attempt is immediate; no wait is longer than 16 s."""
    policy = ReconnectPolicy()
    waits = [policy.network() for _ in range(70)]
    assert waits[:4] == [0, 0.25, 0.5, 0.75]
    assert waits[-1] == 16


def test_http_errors_double_from_5_s_to_320_s() -> None:
    """A connection that holds resets the wait."""
    policy = ReconnectPolicy()
    assert [policy.http() for _ in range(9)] == [5, 10, 20, 40, 80, 160, 320, 320, 320]
    policy.connected()
    assert policy.http() == 5


def test_rate_limits_wait_until_the_reset_or_double_from_a_minute() -> None:
    """A past reset means a second; a wait without one is at most 15 minutes."""
    policy = ReconnectPolicy()
    assert policy.limited(30.0) == 31
    assert policy.limited(-5.0) == 1
    policy.connected()
    assert [policy.limited() for _ in range(6)] == [60, 120, 240, 480, 900, 900]
