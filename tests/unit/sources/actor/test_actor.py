"""Actors process one message at a time, store lines, and are replaced after a crash."""

import asyncio
import errno
import json
import multiprocessing
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pytest

from app.errors import ConfigurationError
from app.sources.actor import StreamingActor
from app.sources.actor import server as actor_server
from app.sources.actor.server import ActorServer
from app.sources.actor.source import ActorSource
from app.sources.actor_client import RemoteActor
from app.sources.base import SourceError
from tests.collecting import Collected, collecting


class Echo(StreamingActor[str]):
    """Stores each message as a line."""

    def receive(self, message: str) -> None:
        """Store the message, or crash."""
        if message == "crash":
            raise ValueError("as sent")
        self.store(message)


@dataclass
class Reading:
    """A message of a type that the test defines."""

    sensor: str
    value: float


class Sensors(StreamingActor[Reading]):
    """Stores readings, two lines each."""

    def receive(self, message: Reading) -> None:
        """Store the reading."""
        self.store(message.sensor, f"{message.value}")


class Stillborn(StreamingActor[int]):
    """Fails to start."""

    def started(self) -> None:
        """Crash."""
        raise RuntimeError("never")


class Untyped(StreamingActor):  # type: ignore[type-arg] - the mistake under test
    """Declares no message type."""


async def test_actors_get_messages_of_many_threads() -> None:
    """Each message of each thread is stored once."""
    source = ActorSource(Echo)
    async with collecting(source) as collected:

        def send(thread: int) -> None:
            for number in range(1000):
                source.ref.tell(f"{thread} {number}")

        threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        await collected.until(lambda: collected.number == 8000)
        for thread in threads:
            thread.join()
    expected = [b"%d %d" % (thread, number) for thread in range(8) for number in range(1000)]
    assert sorted(collected.lines) == sorted(expected)


async def test_a_crashed_actor_is_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    """The source skips only the message of the crash, and one of a wrong type."""
    source = ActorSource(Echo)
    async with collecting(source) as collected:
        for message in ("1", "crash", "2", 3, "4"):
            source.ref.tell(message)
        await collected.expect(b"1", b"2", b"4")
    said = capsys.readouterr().err
    assert "Echo crashed: ValueError: as sent; skipping its message" in said
    assert "Echo expects str, not 3" in said
    assert source.failures == 2


@pytest.mark.parametrize("actor", [Echo, Stillborn])
async def test_an_actor_that_crashes_too_often_ends_the_source(actor: type[Echo]) -> None:
    """The source yields the lines that it stored before."""
    source = ActorSource(actor)
    await source.open()
    if actor is Echo:
        source.ref.tell("before")
        for _ in range(11):
            source.ref.tell("crash")
    collected = Collected(source)
    with pytest.raises(SourceError, match="for the 11th time in a minute"):
        await collected.run()
    assert collected.lines == ([b"before"] if actor is Echo else [])
    await source.close()


async def test_a_stopped_actor_empties_its_mailbox() -> None:
    """Messages that were sent before the stop are stored."""
    source = ActorSource(Echo)
    async with collecting(source) as collected:
        for number in range(5000):
            source.ref.tell(f"{number}")
    assert collected.lines == [b"%d" % number for number in range(5000)]


def _send(port: int, start: int, end: int) -> None:
    with RemoteActor("127.0.0.1", port) as actor:
        for number in range(start, end):
            actor.tell(f"{number}")
        actor.flush()


async def test_other_processes_get_an_answer_once_kafka_has_their_messages(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Several processes send at once; one that dies harms no other."""
    source = ActorSource(Echo, ("127.0.0.1", 0))
    processes = multiprocessing.get_context("spawn")
    async with collecting(source) as collected:
        port = int(capsys.readouterr().err.rsplit(":", 1)[1])
        senders = [
            processes.Process(target=_send, args=(port, n * 1000, (n + 1) * 1000)) for n in range(2)
        ]
        doomed = socket.create_connection(("127.0.0.1", port))
        doomed.sendall(b'"begun')
        for sender in senders:
            sender.start()
        await collected.until(lambda: collected.number >= 2000, 60)
        assert all(sender.is_alive() for sender in senders)
        doomed.close()
        position = collected.batches[-1].position
        await source.acknowledge(position)
        await collected.until(lambda: not any(sender.is_alive() for sender in senders))
        assert [sender.exitcode for sender in senders] == [0, 0]
    assert sorted(map(int, collected.lines)) == list(range(2000))


async def test_messages_over_tcp_are_json_of_the_type(capsys: pytest.CaptureFixture[str]) -> None:
    """An object becomes a dataclass; the source skips and reports messages that do not fit."""
    source = ActorSource(Sensors, ("127.0.0.1", 0))
    async with collecting(source) as collected:
        port = int(capsys.readouterr().err.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port)) as peer:
            for text in ("nonsense", '{"sensor": "a"}', "[1]", "\xff"):
                peer.sendall(text.encode("latin-1") + b"\n")
            peer.sendall(json.dumps({"sensor": "a", "value": 0.5}).encode() + b"\n")
            await collected.expect(b"a", b"0.5")
    assert source.failures == 4


async def test_garbage_over_tcp_counts_as_a_message_and_harms_no_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A line of 100 MB, one of brackets alone, NUL and invalid UTF-8 are skipped.

    Each is answered as one message. So the count of the peer is right, and it sends none again.
    """
    source = ActorSource(Echo, ("127.0.0.1", 0))
    async with collecting(source) as collected:
        port = int(capsys.readouterr().err.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port)) as peer:
            odd = [b"x" * 100_000_000, b"[" * 100_000, b"\0", b"\xff\xfe"]
            odd += [b'"NUL \\u0000"', b'"last"']
            await asyncio.to_thread(peer.sendall, b"".join(line + b"\n" for line in odd))
            await collected.expect(b"NUL \0", b"last")
            await source.acknowledge(collected.batches[-1].position)
            answers = peer.makefile("rb")
            while int(await asyncio.to_thread(answers.readline)) < len(odd):
                pass
    assert source.failures == 4


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

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(20)
        self.actor = RemoteActor(*self._server.getsockname())

    def accept(self) -> tuple[socket.socket, BinaryIO]:
        """Accept a connection; return it with its lines."""
        peer, _ = self._server.accept()
        peer.settimeout(20)
        return peer, peer.makefile("rb")

    def answer(self, peer: socket.socket, done: int) -> None:
        """Send an answer, and wait until it has arrived."""
        peer.sendall(b"%d\n" % done)
        assert self.actor._peer is not None
        self.actor._peer.recv(1, socket.MSG_PEEK)

    def abort(self, peer: socket.socket, lines: BinaryIO) -> None:
        """Reset the connection as a killed process does, and wait until the client has it."""
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        lines.close()
        peer.close()
        assert self.actor._peer is not None
        poll = select.poll()
        poll.register(self.actor._peer, 0)
        assert poll.poll(20_000)

    def close(self) -> None:
        """Close the client and the server."""
        self.actor.close()
        self._server.close()


@pytest.fixture
def answering() -> Iterator[Answering]:
    made = Answering()
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
    assert list(answering.actor._unacknowledged) == [b"99\n", b"100\n"]
    assert [int(lines.readline()) for _ in range(101)] == list(range(101))
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


class Exhausted:
    """A listening socket whose accept always fails."""

    def __init__(self) -> None:
        self.attempts = 0

    def accept(self) -> None:
        """Fail as at the limit of open files."""
        self.attempts += 1
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def shutdown(self, how: int) -> None:
        """Do nothing: no connection exists."""

    def close(self) -> None:
        """Do nothing: no socket is open."""


def test_a_failed_accept_is_retried_after_a_pause(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The thread does not retry in a busy loop; one line reports the reason."""
    server = ActorServer(ActorSource(Echo), "127.0.0.1", 0)
    server._server = exhausted = Exhausted()  # type: ignore[assignment] - a stand-in
    accepting = threading.Thread(target=server._accept)
    accepting.start()
    accepting.join(0.3)
    server.stop()
    accepting.join(20)
    assert not accepting.is_alive()
    assert 0 < exhausted.attempts < 10
    (said,) = capsys.readouterr().err.splitlines()
    assert said == "can't accept a connection: Too many open files; retrying"


async def test_dead_peers_give_their_places_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The kernel probes silent peers; a peer beyond the limit waits, and stderr reports it."""
    monkeypatch.setattr(actor_server, "_CONNECTIONS", 1)
    source = ActorSource(Echo, ("127.0.0.1", 0))
    async with collecting(source) as collected:
        port = int(capsys.readouterr().err.rsplit(":", 1)[1])
        first = socket.create_connection(("127.0.0.1", port))
        second = socket.create_connection(("127.0.0.1", port))
        with first, second:
            second.sendall(b'"second"\n')
            first.sendall(b'"first"\n')
            await collected.expect(b"first")
            assert source._server is not None
            (connection,) = source._server._connections
            peer = connection.peer
            assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
            first.close()
            await source.acknowledge(collected.batches[-1].position)
            await collected.expect(b"first", b"second")
    assert "1 connections are open; others wait" in capsys.readouterr().err


def test_an_actor_must_declare_its_message_type() -> None:
    """An actor without a declared type is a wrong argument."""
    with pytest.raises(ConfigurationError, match=r"derive it from StreamingActor\[str\]"):
        ActorSource(Untyped)
