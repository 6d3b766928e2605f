"""The TCP server that receives messages for an actor from other processes, a JSON value a line.

An answer is a line with a number N: Kafka has every line that the actor stored for the first N
messages of the connection. The sender may send a message without such an answer again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, BinaryIO

from app.errors import ConfigurationError, UnavailableError
from app.sources.notices import notify
from app.sources.tcp.connection import (
    SECONDS_AFTER_A_FAILED_ACCEPT,
    cant_accept,
    enable_keepalive,
    others_wait,
    reason,
)
from app.sources.throttled_output import ThrottledOutput

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.sources.actor.host import ActorHost

__all__ = ["ActorServer"]

_LONGEST_MESSAGE = 16 << 20
_CONNECTIONS = 100


class ActorServer:
    """Accepts connections and reads each in a thread of its own."""

    def __init__(self, source: ActorHost, host: str, port: int) -> None:
        self._source = source
        self.host = host
        self.port = port
        self._free = threading.Semaphore(_CONNECTIONS)
        self._connections: set[_Connection] = set()
        self._acknowledged = 0
        self._output = ThrottledOutput()
        self._stopped = threading.Event()

    async def open(self) -> None:
        """Listen. Raises UnavailableError, ConfigurationError."""
        name = f"{self.host}:{self.port}"
        try:
            self._server = socket.create_server((self.host, self.port))
        except socket.gaierror as error:
            raise ConfigurationError(f"{name}: {error.strerror}") from None
        except OSError as error:
            raise UnavailableError(f"can't listen on {name}: {error.strerror}") from None
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def acknowledge(self, number: int) -> None:
        """Answer the messages whose stores, up to this number, Kafka has."""
        self._acknowledged = number
        for connection in list(self._connections):
            connection.acknowledge(number)

    def stop(self) -> None:
        """Read no more messages; acknowledgements of received messages continue."""
        self._stopped.set()
        with contextlib.suppress(OSError):  # close alone does not wake the thread in accept
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.peer.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Close all connections."""
        self.stop()
        for connection in list(self._connections):
            connection.peer.close()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            if not self._free.acquire(blocking=False):
                self._output.notify("full", others_wait(_CONNECTIONS))
                self._free.acquire()
            try:
                peer, address = self._server.accept()
            except OSError as error:
                self._free.release()
                if not self._stopped.is_set():
                    self._output.notify("failed", cant_accept(error))
                    self._stopped.wait(SECONDS_AFTER_A_FAILED_ACCEPT)
                continue
            name = f"{address[0]}:{address[1]}"
            threading.Thread(target=self._read, args=(peer, name), daemon=True).start()

    def _read(self, peer: socket.socket, name: str) -> None:
        connection = _Connection(peer)
        self._connections.add(connection)
        try:
            enable_keepalive(peer)
            with peer.makefile("rb") as lines:
                while line := _line(lines):
                    # Acknowledge after `received`: Kafka may have the store already, and its
                    # acknowledgement came before the connection had the number.
                    connection.received(self._deliver(line, name))
                    connection.acknowledge(self._acknowledged)
            connection.wait_until_acknowledged(self._stopped.is_set)
        except OSError as error:
            notify(f"{name}: {reason(error)}")
        finally:
            self._connections.discard(connection)
            peer.close()
            self._free.release()

    def _deliver(self, line: bytes, name: str) -> int:
        """Pass the message to the actor; return the number of the newest store after it."""
        try:
            message = _message(line, self._source.type)
        except (ValueError, TypeError, RecursionError) as error:
            self._source.refuse(f"{name} sent {line!r:.60}: {error}")
            return self._source.newest
        # `ask` waits for the actor, so a fast peer can't fill the mailbox for the others.
        number: Any = self._source.ref.ask(message)
        return int(number)


class _Connection:
    """A connection and its unacknowledged messages, each as the number of its last store."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer = peer
        self._lock = threading.Condition()
        self._waiting: deque[int] = deque()
        self._done = 0

    def received(self, number: int) -> None:
        with self._lock:
            self._waiting.append(number)

    def acknowledge(self, number: int) -> None:
        with self._lock:
            before = self._done
            while self._waiting and self._waiting[0] <= number:
                self._waiting.popleft()
                self._done += 1
            if self._done > before:
                # A peer that is gone or reads no answers must not block the others.
                with contextlib.suppress(OSError):
                    self.peer.send(b"%d\n" % self._done, socket.MSG_DONTWAIT)
            self._lock.notify_all()

    def wait_until_acknowledged(self, stopped: Callable[[], bool]) -> None:
        with self._lock:
            while self._waiting and not stopped():
                self._lock.wait(0.5)


def _line(lines: BinaryIO) -> bytes:
    """Read a line; of one that is too long, return the beginning, since it counts as a message."""
    line = lines.readline(_LONGEST_MESSAGE)
    rest = line
    while len(rest) == _LONGEST_MESSAGE and not rest.endswith(b"\n"):
        rest = lines.readline(_LONGEST_MESSAGE)
    return line


def _message(line: bytes, wanted: type) -> object:
    """Decode the message in a line. Raises ValueError, TypeError, RecursionError."""
    if not line.endswith(b"\n"):
        raise ValueError(f"is longer than {_LONGEST_MESSAGE} bytes, or incomplete")
    value = json.loads(line)
    if dataclasses.is_dataclass(wanted) and isinstance(value, dict):
        return wanted(**value)
    if wanted is float and isinstance(value, int):
        return float(value)
    return value
