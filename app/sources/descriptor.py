"""Reads chunks of bytes from any file descriptor without blocking the event loop."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["CHUNK", "read_chunks", "readable"]

CHUNK = 256 << 10
"""Most bytes read at once."""


async def read_chunks(descriptor: int, stopping: asyncio.Event) -> AsyncIterator[bytes]:
    """Yield chunks as they arrive, until the end or until `stopping` is set.

    The mode of the descriptor stays unchanged, since other processes may share it.
    """
    while await readable(descriptor, stopping):
        try:
            chunk = os.read(descriptor, CHUNK)
        except BlockingIOError:  # it is non-blocking, and another process read the bytes
            continue
        if not chunk:
            return
        yield chunk


async def readable(descriptor: int, stopping: asyncio.Event, seconds: float | None = None) -> bool:
    """Wait until a read would not block, or for `seconds`; return False once `stopping` is set."""
    if stopping.is_set():
        return False
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    try:
        loop.add_reader(descriptor, _resolve, ready)
    except PermissionError:  # a regular file or /dev/null, which epoll refuses, never blocks long
        await asyncio.sleep(0)
        return True
    stopped = asyncio.ensure_future(stopping.wait())
    waiters: set[asyncio.Future[Any]] = {ready, stopped}
    try:
        await asyncio.wait(waiters, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        loop.remove_reader(descriptor)
        stopped.cancel()
    return not stopping.is_set()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
