"""Functions that all TCP sources share: reading lines, keep-alive, and texts of messages."""

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
    "enable_keepalive",
    "lines_of",
    "others_wait",
    "reason",
]

SECONDS_AFTER_A_FAILED_ACCEPT = 1.0
"""The pause before the next accept. Most often the process has too many open files."""


async def lines_of(peer: socket.socket, stopping: asyncio.Event) -> AsyncIterator[Batch]:
    """Yield the lines of a non-blocking socket; a last line without a newline counts.

    Reads only when the caller requests the next batch, so TCP slows the peer down while Kafka is
    behind. When stopped, reads the bytes that the kernel has received by then. Raises OSError if
    the connection broke, after the lines that came before.
    """
    cutter = LineCutter()
    broken: OSError | None = None
    try:
        async for chunk in read_chunks(peer.fileno(), stopping):
            for batch in cutter.feed(chunk):
                yield batch
        # A fixed number of bytes: a peer that never pauses must not prevent the end.
        left = _unread(peer) if stopping.is_set() else 0
        while left > 0 and (chunk := peer.recv(min(left, CHUNK))):
            left -= len(chunk)
            for batch in cutter.feed(chunk):
                yield batch
    except OSError as error:
        broken = error
    # The bytes can't be read again: an incomplete line counts, however the connection ended.
    for batch in cutter.finish():
        yield batch
    if broken is not None:
        raise broken


def enable_keepalive(peer: socket.socket) -> None:
    """Make the kernel probe a peer that was silent for a minute; the default is two hours."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):  # macOS lacks TCP_KEEPIDLE
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def reason(error: OSError) -> str:
    """Describe an error in a few words."""
    return error.strerror or (os.strerror(error.errno) if error.errno else "it does not answer")


def cant_accept(error: OSError) -> str:
    """The message before the pause."""
    return f"can't accept a connection: {reason(error)}; retrying"


def others_wait(connections: int) -> str:
    """The message when the limit of connections is reached."""
    return f"{connections} connections are open; others wait until one of them closes"


def _unread(peer: socket.socket) -> int:
    """Bytes that the kernel has received and the process has not read."""
    number = array.array("i", [0])
    fcntl.ioctl(peer, termios.FIONREAD, number)
    return number[0]
