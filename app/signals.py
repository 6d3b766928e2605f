"""Handlers for the signals that end a command: SIGINT (Ctrl-C), SIGTERM, SIGHUP (hang-up)."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["interrupted", "on_end_signal"]


@contextmanager
def on_end_signal(callback: Callable[[], None]) -> Iterator[None]:
    """Call `callback` at each end signal while the body runs, in the event loop if one runs.

    Only for the main thread. If SIGHUP is ignored, as under nohup, it stays ignored.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        loop = None

    def handle(*_: object) -> None:
        if loop is None:
            callback()
        else:
            loop.call_soon_threadsafe(callback)

    before = {number: signal.signal(number, handle) for number in _numbers()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interrupted() -> Iterator[None]:
    """Raise KeyboardInterrupt in the body at the first of the signals.

    Later signals are ignored, so a second Ctrl-C does not interrupt the orderly end, which belongs
    into the body, too.
    """
    ending = False

    def interrupt() -> None:
        nonlocal ending
        if not ending:
            ending = True
            raise KeyboardInterrupt

    with on_end_signal(interrupt):
        yield


def _numbers() -> list[int]:
    numbers: list[int] = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers
