"""A clock that tests move, and tasks that they let wait."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Clock", "run_ready", "waiting"]


class Clock:
    """A clock that moves only when a test moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now


async def run_ready() -> None:
    """Let every task run until it waits for time, a thread or a socket, however slow the machine.

    A pause of some milliseconds is no such promise: on a busy machine it can be over at once.
    """
    for _ in range(50):
        await asyncio.sleep(0)


@asynccontextmanager
async def waiting(task: asyncio.Task[None]) -> AsyncIterator[None]:
    """Check that a task waits, then that the body ends its wait."""
    await run_ready()
    assert not task.done()
    yield
    await asyncio.wait_for(task, 5)
