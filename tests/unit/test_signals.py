"""Handlers of the signals that end a command."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from app.signals import interrupted, on_end_signal

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def with_a_terminal() -> Iterator[None]:
    """Restore the default of SIGHUP: the tests may run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", NUMBERS)
def test_each_signal_calls_back_and_its_handler_is_restored(number: signal.Signals) -> None:
    """Ctrl-C, a supervisor and a closed terminal have the same effect."""
    before = signal.getsignal(number)
    received: list[int] = []
    with on_end_signal(lambda: received.append(number)):
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
    assert received == [number, number]
    assert signal.getsignal(number) is before


async def test_in_an_event_loop_it_wakes_the_loop() -> None:
    """A task that waits for an event resumes at once."""
    event = asyncio.Event()
    with on_end_signal(event.set):
        asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(event.wait(), 10)


def test_one_signal_interrupts_and_the_next_ones_do_not() -> None:
    """A second signal does not interrupt an orderly end."""
    ended = False
    with interrupted():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("the body continues")
        except KeyboardInterrupt:
            for number in NUMBERS:
                os.kill(os.getpid(), number)
            ended = True
    assert ended


def test_what_nohup_ignores_stays_ignored() -> None:
    """Under nohup, SIGHUP stays ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with on_end_signal(lambda: pytest.fail("called back")):
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
