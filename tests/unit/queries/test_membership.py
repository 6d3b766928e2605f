"""Membership that may have been lost is doubted."""

from __future__ import annotations

from app.queries.membership import Membership


class Clock:
    """A clock that goes when it is told."""

    now = 1000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def test_nothing_is_sure_before_the_broker_has_answered() -> None:
    """A worker that has heard nothing is not a member, and has seen no broker."""
    contact = Membership(10, 3, Clock())
    assert not contact.is_member()
    assert not contact.seen(1e9)


def test_a_worker_in_touch_is_a_member() -> None:
    """Answers that come every few seconds leave no doubt."""
    clock = Clock()
    contact = Membership(10, 3, clock)
    for _ in range(5):
        contact.answered()
        assert contact.is_member()
        clock.now += 2
    assert contact.seen(2)
    assert not contact.seen(1)


def test_after_a_long_gap_the_next_heartbeats_decide() -> None:
    """Silence that may have cost the membership is doubted, and then for two heartbeats more."""
    clock = Clock()
    contact = Membership(10, 3, clock)
    contact.answered()
    clock.now += 7
    assert contact.is_member()
    clock.now += 1
    assert not contact.is_member()
    contact.answered()
    assert not contact.is_member()
    clock.now += 6.1
    contact.answered()
    assert contact.is_member()
