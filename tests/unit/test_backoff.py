"""Waits grow with each failure, and a success resets them."""

from app.backoff import Backoff, linear


def test_waits_double_up_to_the_longest() -> None:
    """A success starts again from the first wait."""
    backoff = Backoff(first_seconds=0.5, longest_seconds=3)
    assert [backoff.failed() for _ in range(5)] == [0.5, 1, 2, 3, 3]
    backoff.succeeded()
    assert backoff.failed() == 0.5


def test_linear_waits_start_at_none() -> None:
    """The first attempt after a failure is immediate."""
    backoff = Backoff(first_seconds=2, longest_seconds=5, growth=linear)
    assert [backoff.failed() for _ in range(4)] == [0, 2, 4, 5]


def test_waits_stay_finite_after_a_million_failures() -> None:
    """A server that is away for months causes no overflow."""
    backoff = Backoff(first_seconds=5, longest_seconds=320, failures=1_000_000)
    assert backoff.failed() == 320


def test_jitter_takes_off_a_random_part() -> None:
    """Waits differ, between the rest and the whole."""
    waits = {Backoff(8, longest_seconds=8, jitter=0.5).failed() for _ in range(50)}
    assert len(waits) > 1
    assert all(4 <= wait <= 8 for wait in waits)
