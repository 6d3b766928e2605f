"""Sends messages to an actor of another process, at least once."""

from __future__ import annotations

import dataclasses
import json
import socket
import time
from collections import deque
from contextlib import suppress
from typing import Any, Self

__all__ = ["RemoteActor"]

_MOST_WAITING = 20_000
_MESSAGES_BETWEEN_LOOKS = 100
"""To look for answers costs about as much as to send a message."""

_ANSWER_BYTES = 4096
_SECONDS_BETWEEN_TRIES = 0.2


class RemoteActor:
    """An actor that `produce actor MODULE:CLASS --listen HOST:PORT` runs; a context manager.

    Messages that were not acknowledged when a connection broke are sent again over the next one.
    """

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._peer: socket.socket | None = None
        self._waiting: deque[bytes] = deque()
        self._done = 0
        self._answers = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def tell(self, message: Any) -> None:
        """Send what JSON can say, or a dataclass; waits while 20,000 are not acknowledged."""
        if dataclasses.is_dataclass(message) and not isinstance(message, type):
            message = dataclasses.asdict(message)
        line = json.dumps(message).encode() + b"\n"
        if len(self._waiting) % _MESSAGES_BETWEEN_LOOKS == 0:
            self._catch_up()
        while len(self._waiting) >= _MOST_WAITING:
            self._hear()
        self._waiting.append(line)
        with suppress(OSError):
            if self._peer is not None:
                self._peer.sendall(line)
                return
        self._connect()

    def flush(self) -> None:
        """Wait until Kafka has what the actor stored of every message."""
        while self._waiting:
            self._hear()

    def close(self) -> None:
        """Close the connection; call `flush` before."""
        if self._peer is not None:
            self._peer.close()
            self._peer = None

    def _hear(self) -> None:
        """Wait for an answer and take it in."""
        answer = b""
        with suppress(OSError):
            answer = self._peer.recv(_ANSWER_BYTES) if self._peer is not None else b""
        if answer:
            self._take_in(answer)
        else:
            self._connect()

    def _catch_up(self) -> None:
        """Take in the answers that are there already; close a connection that has ended."""
        if self._peer is None:
            return
        with suppress(OSError):
            try:
                while answer := self._peer.recv(_ANSWER_BYTES, socket.MSG_DONTWAIT):
                    self._take_in(answer)
            except BlockingIOError:
                return
        self.close()

    def _take_in(self, answer: bytes) -> None:
        *whole, self._answers = (self._answers + answer).split(b"\n")
        for done in map(int, whole):
            while self._done < done:
                self._waiting.popleft()
                self._done += 1

    def _connect(self) -> None:
        """Connect, however long it takes, and send what waits."""
        while True:
            # What was acknowledged before the connection broke must not be sent again.
            self._catch_up()
            self.close()
            try:
                self._peer = socket.create_connection(self._address, 10)
                self._peer.settimeout(None)
                self._done, self._answers = 0, b""
                self._peer.sendall(b"".join(self._waiting))
            except OSError:
                time.sleep(_SECONDS_BETWEEN_TRIES)
            else:
                return
