"""The client that sends messages to an actor in another process, at least once."""

from __future__ import annotations

import dataclasses
import json
import socket
import time
from collections import deque
from contextlib import suppress
from typing import Any, Self

__all__ = ["RemoteActor"]

_MAX_UNACKNOWLEDGED = 20_000
_MESSAGES_BETWEEN_POLLS = 100
"""A poll for answers costs about as much as sending a message."""

_ANSWER_BYTES = 4096
_SECONDS_BETWEEN_ATTEMPTS = 0.2


class RemoteActor:
    """The address of an actor in `produce actor MODULE:CLASS --listen HOST:PORT`.

    A context manager. After a connection broke, the client sends the unacknowledged messages again
    over the next connection.
    """

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._peer: socket.socket | None = None
        self._unacknowledged: deque[bytes] = deque()
        self._acknowledged = 0
        self._answers = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def tell(self, message: Any) -> None:
        """Send a JSON value or a dataclass; waits while 20,000 messages are unacknowledged."""
        if dataclasses.is_dataclass(message) and not isinstance(message, type):
            message = dataclasses.asdict(message)
        line = json.dumps(message).encode() + b"\n"
        if len(self._unacknowledged) % _MESSAGES_BETWEEN_POLLS == 0:
            self._drain_answers()
        while len(self._unacknowledged) >= _MAX_UNACKNOWLEDGED:
            self._wait_for_answer()
        # Append before sending: if the connection breaks meanwhile, `_connect` sends it again.
        self._unacknowledged.append(line)
        with suppress(OSError):
            if self._peer is not None:
                self._peer.sendall(line)
                return
        self._connect()

    def flush(self) -> None:
        """Wait until Kafka has the lines that the actor stored for every message."""
        while self._unacknowledged:
            self._wait_for_answer()

    def close(self) -> None:
        """Close the connection; call `flush` before."""
        if self._peer is not None:
            self._peer.close()
            self._peer = None

    def _wait_for_answer(self) -> None:
        """Wait for an answer and process it; reconnect if the connection has ended."""
        answer = b""
        with suppress(OSError):
            answer = self._peer.recv(_ANSWER_BYTES) if self._peer is not None else b""
        if answer:
            self._process(answer)
        else:
            self._connect()

    def _drain_answers(self) -> None:
        """Process the answers that have arrived; close a connection that has ended."""
        if self._peer is None:
            return
        with suppress(OSError):
            try:
                while answer := self._peer.recv(_ANSWER_BYTES, socket.MSG_DONTWAIT):
                    self._process(answer)
            except BlockingIOError:
                return
        self.close()

    def _process(self, answer: bytes) -> None:
        # An answer is the number of messages of this connection that Kafka has; see `server`.
        *whole, self._answers = (self._answers + answer).split(b"\n")
        for acknowledged in map(int, whole):
            while self._acknowledged < acknowledged:
                self._unacknowledged.popleft()
                self._acknowledged += 1

    def _connect(self) -> None:
        """Retry until connected, then send the unacknowledged messages."""
        while True:
            # Answers may have arrived before the connection broke: skip those messages.
            self._drain_answers()
            self.close()
            try:
                self._peer = socket.create_connection(self._address, 10)
                self._peer.settimeout(None)
                self._acknowledged, self._answers = 0, b""
                self._peer.sendall(b"".join(self._unacknowledged))
            except OSError:
                time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
            else:
                return
