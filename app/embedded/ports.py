"""Finds free ports that stay free between the stop of a server and its next start."""

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

__all__ = ["PORTS", "free_port", "is_free", "is_open"]

# Below the ports that Linux (from 32768) and others (from 49152) use for outgoing connections. Such
# a connection could take the port of a server that is down, or even connect to itself.
PORTS = range(20_000, 32_000)

_BLOCK = 500
"""Ports that a process tries first, so that others seldom take those of its stopped servers."""

_given: set[int] = set()
_lock = threading.Lock()


def free_port(address: str = "127.0.0.1") -> int:
    """A port of `address` that is free and that this process has not received before."""
    with _lock:
        for port in _shuffled():
            if port not in _given and is_free(port, address):
                _given.add(port)
                return port
    raise UnavailableError(
        f"No port of {address} between {PORTS.start} and {PORTS.stop} is free; "
        "stop what uses them, or choose a port"
    )


def _shuffled() -> Iterator[int]:
    begin = PORTS.start + os.getpid() * _BLOCK % len(PORTS)
    yield from random.sample(range(begin, begin + _BLOCK), _BLOCK)
    yield from random.sample(PORTS, len(PORTS))


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now.

    Raises ConfigurationError if no server ever could: the address is not of this machine, or the
    user has no right to the port.
    """
    with socket.socket() as probe:
        # Java sets it too: then closing connections of an earlier server do not block the port.
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
    """Whether a server accepts connections there."""
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True
