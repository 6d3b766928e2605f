"""Ports that are free, and stay so between a server's stop and its next start."""

from __future__ import annotations

import errno
import os
import random
import socket
import threading
from typing import TYPE_CHECKING

from app.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["free_port", "is_free", "is_open"]

# Below what Linux (32768) and others (49152) use for outgoing connections: those could take the
# port of a server that is down, even by a client that tries to reach it and meets itself.
_RANGE = range(20_000, 32_000)

_BLOCK = 500
"""Ports that a process takes first: others seldom take those of a server that is down."""

_given: set[int] = set()
_lock = threading.Lock()


def free_port(address: str = "127.0.0.1") -> int:
    """A port of `address` that nobody uses and that this process has not been given before."""
    with _lock:
        for port in _shuffled():
            if port not in _given and is_free(port, address):
                _given.add(port)
                return port
    raise UnavailableError(
        f"No port of {address} between {_RANGE.start} and {_RANGE.stop} is free; "
        "stop what uses them, or choose a port"
    )


def _shuffled() -> Iterator[int]:
    begin = _RANGE.start + os.getpid() * _BLOCK % len(_RANGE)
    yield from random.sample(range(begin, begin + _BLOCK), _BLOCK)
    yield from random.sample(_RANGE, len(_RANGE))


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now.

    Raises ConfigurationError when none ever could: not an address of this machine, or a port that
    this user may not have.
    """
    with socket.socket() as probe:
        # As Java does: connections of an earlier server that are still closing don't matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen()
        except (OSError, OverflowError) as error:
            if getattr(error, "errno", None) == errno.EADDRINUSE:
                return False
            raise ConfigurationError(
                f"{address}:{port}: a server can't listen there ({error}); "
                "choose an address of this machine, and a port above 1023"
            ) from None
    return True


def is_open(port: int, address: str = "127.0.0.1") -> bool:
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True
