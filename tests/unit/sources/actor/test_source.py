"""An actor source processes one message at a time, and replaces an actor after a crash."""

import threading

import pytest

from app.sources.actor import StreamingActor
from app.sources.actor.source import ActorSource
from app.sources.base import SourceError
from tests.collecting import Collected, collecting


class Echo(StreamingActor[str]):
    """Stores each message as a line."""

    def receive(self, message: str) -> None:
        """Store the message, or crash."""
        if message == "crash":
            raise ValueError("as sent")
        self.store(message)


class Stillborn(StreamingActor[int]):
    """Fails to start."""

    def started(self) -> None:
        """Crash."""
        raise RuntimeError("never")


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
