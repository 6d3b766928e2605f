"""Everything that a source yields is delivered, however the source ends."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterable

import pytest

from app.sources.base import Batch, Source, SourceError
from app.sources.pump import pump


class Broken(Exception):  # noqa: N818 - stands for any exception
    """Ends a pump in the middle."""


class Delivered:
    """A fake delivery: keeps the lines and counts the flushes."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.flushes = 0
        self.drained = False
        self.linger_until: float | None = None
        self.position: object = None

    async def take(self, batch: Batch) -> None:
        """Take a batch in."""
        self.lines += batch.text.split(b"\n")
        self.position = batch.position
        self.linger_until = time.monotonic() + 0.01

    async def flush(self) -> None:
        """Send what lingers."""
        self.flushes += 1
        self.linger_until = None

    async def drain(self) -> None:
        """Wait for Kafka."""
        self.drained = True


class Some(Source):
    """Yields batches, then fails, ends or waits without end."""

    def __init__(self, batches: Iterable[Batch], then: str = "end") -> None:
        super().__init__()
        self._some = batches
        self._then = then
        self.acknowledged: list[object] = []
        self.ended = False

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield the batches."""
        try:
            for batch in self._some:
                yield batch
            if self._then == "fail":
                raise SourceError("it broke off")
            if self._then == "wait":
                await asyncio.Event().wait()
        finally:
            self.ended = True

    async def acknowledge(self, position: object) -> None:
        """Note the position."""
        self.acknowledged.append(position)


async def run(source: Source, delivery: Delivered, **options: float) -> None:
    await asyncio.wait_for(pump(source, delivery, **options), 10)  # type: ignore[arg-type]  # a stand-in


async def test_everything_is_delivered_and_acknowledged() -> None:
    """At the end the source gets the last position, and its generator is closed."""
    source, delivery = Some(Batch.of([f"{n}"], position=n) for n in range(3)), Delivered()
    await run(source, delivery)
    assert delivery.lines == [b"0", b"1", b"2"]
    assert delivery.drained
    assert source.acknowledged == [2]
    assert source.ended


async def test_the_lines_of_a_failing_source_are_delivered_first() -> None:
    """The source's error is raised once Kafka has its lines."""
    delivery = Delivered()
    with pytest.raises(SourceError, match="it broke off"):
        await run(Some([Batch.of(["a"])], "fail"), delivery)
    assert delivery.lines == [b"a"]
    assert delivery.drained


async def test_lines_do_not_linger_while_the_source_waits() -> None:
    """A lone line is sent soon, even if no other comes; a stop ends a source that waits."""
    source, delivery = Some([Batch.of(["a"])], "wait"), Delivered()
    running = asyncio.create_task(run(source, delivery))
    async with asyncio.timeout(10):
        while not delivery.flushes:  # noqa: ASYNC110 - a stand-in without events
            await asyncio.sleep(0.001)
        source.stop()
        await running
    assert delivery.drained
    assert source.ended


async def test_a_source_that_ignores_a_stop_is_ended() -> None:
    """A source that yields batches after its stop does not run without end."""

    def endless() -> Iterable[Batch]:
        while True:
            yield Batch.of(["again"])

    source, delivery = Some(endless()), Delivered()
    source.stop()
    await run(source, delivery)
    assert len(delivery.lines) == 1000


async def test_rate_and_event_time_are_applied() -> None:
    """The options reach the batches."""
    started = time.monotonic()
    delivery = Delivered()
    await run(Some([Batch.of(["a"] * 3)]), delivery, lines_per_second=20, timestamp_ms=1)
    assert time.monotonic() - started >= 0.09
    assert delivery.lines == [b"a"] * 3


async def test_ready_batches_are_taken_in_turn() -> None:
    """No task is created for each; the pace is kept all the same, and the end is found."""

    class Many(Some):
        async def batches(self) -> AsyncIterator[Batch]:
            for number, batch in enumerate(self._some):
                self.at_hand = number < 4
                yield batch

    numbers = [b"%d" % n for n in range(5)]
    for rate in (0, 20):
        source, delivery = Many([Batch.of([n], position=n) for n in numbers]), Delivered()
        started = time.monotonic()
        await run(source, delivery, lines_per_second=rate)
        assert delivery.lines == numbers
        assert source.acknowledged[-1] == numbers[-1]
        assert time.monotonic() - started >= 0.15 * bool(rate)


async def test_an_error_as_the_source_ends_is_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asyncio logs no error about the source's end at that very moment."""
    logged: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))

    async def fail(following: asyncio.Future[Batch], *_: object) -> None:
        await asyncio.wait({following})
        raise Broken

    monkeypatch.setattr("app.sources.pump._wait", fail)
    with pytest.raises(Broken):
        await run(Some([]), Delivered())
    gc.collect()
    await asyncio.sleep(0)
    assert logged == []
