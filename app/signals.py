"""Signals that ask a command to end: SIGINT (Ctrl-C), SIGTERM, and SIGHUP of a closed terminal."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["asked_to_end", "interrupted"]


@contextmanager
def asked_to_end(told: Callable[[], None]) -> Iterator[None]:
    """Call `told` at each of the signals while the body runs, in the event loop if there is one.

    For the main thread. A SIGHUP that is ignored, as nohup does, stays ignored.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        loop = None

    def handle(*_: object) -> None:
        if loop is None:
            told()
        else:
            loop.call_soon_threadsafe(told)

    before = {number: signal.signal(number, handle) for number in _numbers()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interrupted() -> Iterator[None]:
    """Raise KeyboardInterrupt in the body at the first of the signals.

    One is enough: the others, that of whoever loses patience, do not break off the orderly end that
    belongs into the body, too.
    """
    ending = False

    def interrupt() -> None:
        nonlocal ending
        if not ending:
            ending = True
            raise KeyboardInterrupt

    with asked_to_end(interrupt):
        yield


def _numbers() -> list[int]:
    numbers: list[int] = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers
