"""What all TCP connections have in common: their lines, their death, and when none can be had."""

from __future__ import annotations

import array
import fcntl
import os
import socket
import termios
from typing import TYPE_CHECKING

from app.sources.descriptor import CHUNK, read_chunks
from app.sources.line_splitter import LineCutter

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from app.sources.base import Batch

__all__ = [
    "SECONDS_AFTER_A_FAILED_ACCEPT",
    "cant_accept",
    "lines_of",
    "others_wait",
    "reason",
    "watch_for_death",
]

SECONDS_AFTER_A_FAILED_ACCEPT = 1.0
"""Too many files are open, say: those of others, perhaps."""


async def lines_of(peer: socket.socket, stopping: asyncio.Event) -> AsyncIterator[Batch]:
    """Yield the lines of a non-blocking socket; a last line without a newline counts.

    Reads only when it is asked for more, so the peer feels it when Kafka is behind. When stopped,
    it takes what the kernel holds by then. Raises OSError for a connection that broke off, after
    the lines that came before.
    """
    cutter = LineCutter()
    broken: OSError | None = None
    try:
        async for chunk in read_chunks(peer.fileno(), stopping):
            for batch in cutter.feed(chunk):
                yield batch
        left = _unread(peer) if stopping.is_set() else 0
        while left > 0 and (chunk := peer.recv(min(left, CHUNK))):
            left -= len(chunk)
            for batch in cutter.feed(chunk):
                yield batch
    except OSError as error:
        broken = error
    # Nobody can read it again: what came of a line counts, however the connection ended.
    for batch in cutter.finish():
        yield batch
    if broken is not None:
        raise broken


def watch_for_death(peer: socket.socket) -> None:
    """Let the kernel ask, after a minute of silence, whether the peer is there at all."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def reason(error: OSError) -> str:
    """What went wrong, in a few words."""
    return error.strerror or (os.strerror(error.errno) if error.errno else "it does not answer")


def cant_accept(error: OSError) -> str:
    """What to say before the pause."""
    return f"can't accept a connection: {reason(error)}; trying again"


def others_wait(connections: int) -> str:
    """What to say when as many are connected as are read at a time."""
    return f"{connections} connections are open; others wait until one of them closes"


def _unread(peer: socket.socket) -> int:
    """Bytes that the kernel holds for us."""
    number = array.array("i", [0])
    fcntl.ioctl(peer, termios.FIONREAD, number)
    return number[0]
