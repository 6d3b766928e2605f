"""Frames of the Thrift transport: four bytes of length, then a call; and the memory for them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from app.sources.flume.thrift import MalformedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["FrameMemory", "read_frame", "read_size"]

_FRAME_TIMEOUT_SECONDS = 60.0


async def read_size(reader: asyncio.StreamReader, limit: int) -> int:
    """Wait for a frame and return its length in bytes. Raises MalformedError past `limit`."""
    size = int.from_bytes(await reader.readexactly(4), "big")
    if size > limit:
        raise MalformedError(
            f"a frame of {size} bytes is longer than {limit} (or not framed); "
            "raise --max-frame if it is Flume's"
        )
    return size


async def read_frame(reader: asyncio.StreamReader, size: int) -> bytes:
    """Read the rest of a frame. Raises MalformedError if the peer stalls in the middle of it."""
    try:
        async with asyncio.timeout(_FRAME_TIMEOUT_SECONDS):
            return await reader.readexactly(size)
    except TimeoutError:
        raise MalformedError("a frame stalled half-way") from None


class FrameMemory:
    """A limit on the bytes of all frames together; a frame that does not fit waits."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._change = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def reserve(self, size: int) -> AsyncIterator[None]:
        """Reserve `size` bytes during the body; a frame larger than the limit waits to be alone."""
        async with self._change:
            await self._change.wait_for(lambda: not self._used or self._used + size <= self._size)
            self._used += size
        try:
            yield
        finally:
            self._used -= size
            async with self._change:
                self._change.notify_all()
