"""Other processes send messages to an actor over TCP."""

import asyncio
import errno
import json
import multiprocessing
import os
import socket
import threading
from dataclasses import dataclass

import pytest

from app.sources.actor import StreamingActor
from app.sources.actor import server as actor_server
from app.sources.actor.server import ActorServer
from app.sources.actor.source import ActorSource
from app.sources.actor_client import RemoteActor
from app.sources.tcp.connection import enable_keepalive
from tests.collecting import collecting


class Echo(StreamingActor[str]):
    """Stores each message as a line."""

    def receive(self, message: str) -> None:
        """Store the message."""
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


class Exhausted:
    """A listening socket whose accept always fails."""

    def __init__(self) -> None:
        self.attempts = 0

    def getsockname(self) -> tuple[str, int]:
        """Return an address."""
        return "127.0.0.1", 1

    def accept(self) -> None:
        """Fail as at the limit of open files."""
        self.attempts += 1
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def shutdown(self, how: int) -> None:
        """Do nothing: no connection exists."""

    def close(self) -> None:
        """Do nothing: no socket is open."""


async def test_a_failed_accept_is_retried_after_a_pause(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The thread does not retry in a busy loop; one line reports the reason."""
    exhausted = Exhausted()
    monkeypatch.setattr(socket, "create_server", lambda _: exhausted)
    server = ActorServer(ActorSource(Echo), "127.0.0.1", 0)
    before = set(threading.enumerate())
    await server.open()
    (accepting,) = set(threading.enumerate()) - before
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
    silences: list[int] = []

    def watch(peer: socket.socket) -> None:
        enable_keepalive(peer)
        assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        silences.append(peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))

    monkeypatch.setattr(actor_server, "enable_keepalive", watch)
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
            assert silences == [60]
            first.close()
            await source.acknowledge(collected.batches[-1].position)
            await collected.expect(b"first", b"second")
    assert "1 connections are open; others wait" in capsys.readouterr().err
