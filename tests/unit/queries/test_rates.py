"""Lines and words per second, as a worker keeps them."""

from __future__ import annotations

from app.queries.rates import KEPT_SECONDS, Rate, RateHistory, sum_rates


class Counted:
    """Counters and a clock that a test sets."""

    def __init__(self) -> None:
        self.lines, self.words, self.now = 0, 0, 1000.2
        self.rates = RateHistory(lambda: (self.lines, self.words), lambda: self.now)

    def after(self, seconds: float, lines: int, words: int) -> None:
        """Let time pass and counters grow."""
        self.now += seconds
        self.lines += lines
        self.words += words
        self.rates.sample()


def test_each_second_has_its_own_counts() -> None:
    """The first sample only reads the initial counters."""
    counted = Counted()
    counted.after(0, 70, 700)
    counted.after(1, 5, 50)
    counted.after(1, 0, 0)
    assert counted.rates.since(0) == [Rate(1001, 5, 50), Rate(1002, 0, 0)]
    assert counted.rates.since(1001) == [Rate(1002, 0, 0)]


def test_seconds_without_a_sample_share_the_counts() -> None:
    """A busy event loop does not look like a pause and a peak."""
    counted = Counted()
    counted.after(0, 0, 0)
    counted.after(3, 30, 90)
    assert counted.rates.since(0) == [Rate(s, 10, 30) for s in (1001, 1002, 1003)]


def test_two_samples_in_a_second_lose_nothing() -> None:
    """The counts of the first half belong to the next second."""
    counted = Counted()
    counted.after(0, 0, 0)
    counted.after(0.5, 4, 4)
    counted.after(0.5, 4, 4)
    assert counted.rates.since(0) == [Rate(1001, 8, 8)]


def test_only_the_last_minutes_are_kept() -> None:
    """Memory is bounded after hours of pause; a clock that is set back restarts the history."""
    counted = Counted()
    counted.after(0, 0, 0)
    for _ in range(KEPT_SECONDS + 50):
        counted.after(1, 1, 1)
    assert len(counted.rates.since(0)) == KEPT_SECONDS
    counted.after(100_000, 100_000, 0)
    assert [rate.lines for rate in counted.rates.since(0)] == [1.0] * KEPT_SECONDS
    counted.after(-500, 0, 0)
    counted.after(1, 7, 7)
    assert counted.rates.since(0)[-1].lines == 7


def test_the_rates_of_workers_are_summed_by_second() -> None:
    """A second that only one worker has is included."""
    one = [Rate(1, 1, 10), Rate(2, 2, 20)]
    other = [Rate(2, 5, 50), Rate(3, 7, 70)]
    assert sum_rates([one, other]) == [Rate(1, 1, 10), Rate(2, 7, 70), Rate(3, 7, 70)]
    assert sum_rates([]) == []
