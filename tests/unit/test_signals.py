"""Signals that ask a command to end."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from app.signals import asked_to_end, interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def with_a_terminal() -> Iterator[None]:
    """Whoever runs the tests may do so by nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", NUMBERS)
def test_each_of_them_is_told_and_undone_afterwards(number: signal.Signals) -> None:
    """Ctrl-C, a supervisor and a closed terminal all ask for the same."""
    before = signal.getsignal(number)
    told: list[int] = []
    with asked_to_end(lambda: told.append(number)):
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
    assert told == [number, number]
    assert signal.getsignal(number) is before


async def test_in_an_event_loop_it_wakes_the_loop() -> None:
    """What waits for an event goes on at once."""
    event = asyncio.Event()
    with asked_to_end(event.set):
        asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(event.wait(), 10)


def test_one_signal_interrupts_and_the_next_ones_do_not() -> None:
    """Whoever loses patience does not break off an orderly end."""
    ended = False
    with interrupted():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("goes on")
        except KeyboardInterrupt:
            for number in NUMBERS:
                os.kill(os.getpid(), number)
            ended = True
    assert ended


def test_what_nohup_ignores_stays_ignored() -> None:
    """Of a closed terminal it shall not be told."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with asked_to_end(lambda: pytest.fail("told")):
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
