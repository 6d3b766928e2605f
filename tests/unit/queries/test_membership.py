"""A membership that may have been lost counts as lost until heartbeats have confirmed it."""

from __future__ import annotations

from app.queries.membership import Membership


class Clock:
    """A clock that the test advances."""

    now = 1000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def test_a_worker_is_no_member_before_the_broker_has_answered() -> None:
    """Without any answer the worker is not a member, and has seen no broker."""
    membership = Membership(10, 3, Clock())
    assert not membership.is_member()
    assert not membership.seen(1e9)


def test_a_worker_with_regular_answers_is_a_member() -> None:
    """Answers that come every few seconds confirm the membership."""
    clock = Clock()
    membership = Membership(10, 3, clock)
    for _ in range(5):
        membership.answered()
        assert membership.is_member()
        clock.now += 2
    assert membership.seen(2)
    assert not membership.seen(1)


def test_after_a_long_gap_the_next_heartbeats_decide() -> None:
    """A gap near the session timeout ends the membership until two heartbeats have passed."""
    clock = Clock()
    membership = Membership(10, 3, clock)
    membership.answered()
    clock.now += 7
    assert membership.is_member()
    clock.now += 1
    assert not membership.is_member()
    membership.answered()
    assert not membership.is_member()
    clock.now += 6.1
    membership.answered()
    assert membership.is_member()
