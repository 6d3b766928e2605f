"""A client sends messages to an actor at least once."""

import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import BinaryIO

import pytest

from app.sources.actor_client import RemoteActor

create_connection = socket.create_connection


def test_the_client_imports_no_optional_package() -> None:
    """A process that only sends messages needs neither Pykka nor the producer's packages."""
    script = "import sys; import app.sources.actor_client; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "app.sources.actor.client" in modules
    assert {"pykka", "aiokafka", "click", "faust"}.isdisjoint(modules)


class Answering:
    """A server that a test controls; a `RemoteActor` connects to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._connections: list[socket.socket] = []
        monkeypatch.setattr(socket, "create_connection", self._connect)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(20)
        self.actor = RemoteActor(*self._server.getsockname())

    def _connect(self, address: tuple[str, int], timeout: float) -> socket.socket:
        self._connections.append(create_connection(address, timeout))
        return self._connections[-1]

    def accept(self) -> tuple[socket.socket, BinaryIO]:
        """Accept a connection; return it with its lines."""
        peer, _ = self._server.accept()
        peer.settimeout(20)
        return peer, peer.makefile("rb")

    def answer(self, peer: socket.socket, done: int) -> None:
        """Send an answer, and wait until it has arrived."""
        peer.sendall(b"%d\n" % done)
        self._connections[-1].recv(1, socket.MSG_PEEK)

    @property
    def answers_are_read(self) -> bool:
        """Whether the client has read all answers that have arrived."""
        try:
            return not self._connections[-1].recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True

    def abort(self, peer: socket.socket, lines: BinaryIO) -> None:
        """Reset the connection as a killed process does, and wait until the client has it."""
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        lines.close()
        peer.close()
        poll = select.poll()
        poll.register(self._connections[-1], 0)
        assert poll.poll(20_000)

    def close(self) -> None:
        """Close the client and the server."""
        self.actor.close()
        self._server.close()


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answering]:
    made = Answering(monkeypatch)
    yield made
    made.close()


def test_answers_are_processed_while_messages_are_sent(answering: Answering) -> None:
    """The client does not wait until its limit of unacknowledged messages is reached."""
    answering.actor.tell(0)
    peer, lines = answering.accept()
    for number in range(1, 100):
        answering.actor.tell(number)
    answering.answer(peer, 99)
    answering.actor.tell(100)
    assert answering.answers_are_read
    assert [int(lines.readline()) for _ in range(101)] == list(range(101))
    answering.abort(peer, lines)
    answering.actor.tell(101)
    peer, lines = answering.accept()
    assert [int(lines.readline()) for _ in range(3)] == [99, 100, 101]
    answering.abort(peer, lines)


def test_acknowledged_messages_are_not_sent_again(answering: Answering) -> None:
    """An answer that was not read before the connection broke counts, too."""
    for number in range(3):
        answering.actor.tell(number)
    peer, lines = answering.accept()
    answering.answer(peer, 2)
    answering.abort(peer, lines)
    answering.actor.tell(3)
    peer, lines = answering.accept()
    assert [lines.readline() for _ in range(2)] == [b"2\n", b"3\n"]
    answering.abort(peer, lines)
