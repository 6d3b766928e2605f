"""A transaction is due by bytes, by age, or by a call of `flush`."""

from __future__ import annotations

import asyncio

import pytest

from app.sources.delivery.schedule import DUE_BYTES, Schedule
from tests.clock import Clock, waiting


async def test_enough_bytes_make_a_transaction_due() -> None:
    """Up to the limit lines wait for more."""
    schedule = Schedule(Clock())
    async with waiting(asyncio.create_task(schedule.wait())):
        schedule.taken(DUE_BYTES)
        await asyncio.sleep(0)
        schedule.taken(DUE_BYTES + 1)


async def test_lines_that_have_waited_make_a_transaction_due() -> None:
    """Lines that arrive after a tenth of a second take the waiting ones along."""
    clock = Clock()
    schedule = Schedule(clock)
    schedule.taken(1)
    async with waiting(asyncio.create_task(schedule.wait())):
        clock.now += 0.2
        schedule.taken(2)


async def test_a_transaction_is_due_once() -> None:
    """After a wait the next transaction needs a reason of its own."""
    schedule = Schedule(Clock())
    schedule.flush()
    await schedule.wait()
    async with waiting(asyncio.create_task(schedule.wait())):
        schedule.flush()


def test_a_flush_is_due_after_the_linger_time_of_the_newest_line() -> None:
    """Before the first line nothing waits for a flush."""
    clock = Clock()
    schedule = Schedule(clock)
    assert schedule.linger_until is None
    schedule.taken(1)
    clock.now += 0.01
    schedule.taken(2)
    assert schedule.linger_until == pytest.approx(100.04)
    assert schedule.waiting_since == 100


def test_a_flush_is_due_again_until_no_line_waits() -> None:
    """A transaction may fail while the source is silent, and `flush` raises its error."""
    schedule = Schedule(Clock())
    schedule.taken(1)
    schedule.flush()
    assert schedule.linger_until == pytest.approx(100.5)
    schedule.rest()
    assert schedule.linger_until is None
