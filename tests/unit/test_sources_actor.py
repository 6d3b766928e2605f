"""Actors store what they are sent, one message at a time, and are replaced when they crash."""

import asyncio
import json
import multiprocessing
import socket
import threading
from dataclasses import dataclass

import pytest

from app.errors import ConfigurationError
from app.sources.actor import StreamingActor
from app.sources.actor_client import RemoteActor
from app.sources.actor_system import ActorSource
from app.sources.base import SourceError
from tests.collecting import Collected, collecting


class Echo(StreamingActor[str]):
    """Stores what it gets."""

    def receive(self, message: str) -> None:
        """Store it, or crash."""
        if message == "crash":
            raise ValueError("as told")
        self.store(message)


@dataclass
class Reading:
    """A message of a type of its own."""

    sensor: str
    value: float


class Sensors(StreamingActor[Reading]):
    """Stores readings, two lines each."""

    def receive(self, message: Reading) -> None:
        """Store it."""
        self.store(message.sensor, f"{message.value}")


class Stillborn(StreamingActor[int]):
    """Can't start."""

    def started(self) -> None:
        """Crash."""
        raise RuntimeError("never")


class Untyped(StreamingActor):  # type: ignore[type-arg] - that is what is wrong with it
    """Does not say what it gets."""


async def test_actors_get_messages_of_many_threads() -> None:
    """Each once."""
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
    """Only the message that it crashed on is left out, and one of a wrong type."""
    source = ActorSource(Echo)
    async with collecting(source) as collected:
        for message in ("1", "crash", "2", 3, "4"):
            source.ref.tell(message)
        await collected.expect(b"1", b"2", b"4")
    said = capsys.readouterr().err
    assert "Echo crashed: ValueError: as told; its message is left out" in said
    assert "Echo gets str, not 3" in said
    assert source.failures == 2


@pytest.mark.parametrize("actor", [Echo, Stillborn])
async def test_an_actor_that_crashes_too_often_ends_the_source(actor: type[Echo]) -> None:
    """What it stored until then is there."""
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
    """What was sent before is stored."""
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


async def test_other_processes_hear_when_kafka_has_their_messages(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Several send at once; one that is killed harms no other."""
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
    """A dataclass is made of an object; what does not fit is left out, and said."""
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
    """A line of 100 MB, one of brackets alone, NUL and what is not UTF-8 are left out.

    Each is answered as one message, so that the peer's count is right and it sends none again.
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


def test_an_actor_says_what_it_gets() -> None:
    """One that does not is a mistake."""
    with pytest.raises(ConfigurationError, match=r"derive it from StreamingActor\[str\]"):
        ActorSource(Untyped)
