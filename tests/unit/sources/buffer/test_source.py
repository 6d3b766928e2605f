"""What came in is kept, in memory or on disk, until Kafka has it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import cast

import pytest

from app.sources.base import Batch, Position, Source, SourceError
from app.sources.buffer import source as kept
from app.sources.buffer.source import BufferedSource
from app.sources.buffer.spool import Spool
from app.sources.buffer.spools import spool_for
from app.sources.pump import pump
from tests.collecting import collecting

BATCH = 1000


class Numbers(Source):
    """Batches of a thousand bytes, as many as there are permits for."""

    replayable = False

    def __init__(self, number: int, *, waits: bool = True, fails: bool = False) -> None:
        super().__init__()
        self.taken_in = 0
        self.told: list[object] = []
        self._number = number
        self.waits = waits
        self._fails = fails

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield them, then wait to be stopped."""
        for number in range(self._number):
            self.taken_in += 1
            yield Batch(b"%d".rjust(BATCH) % number, 1, position=f"at {number}")
            if self.stopping.is_set():
                return
        if self._fails:
            raise SourceError("it broke off")
        await self.stopping.wait()

    async def acknowledge(self, position: object) -> None:
        """Note the position."""
        self.told.append(position)


def kept_of(
    source: Source,
    path: Path,
    *,
    memory: int = 5 * BATCH,
    limit: int = 1 << 30,
    write_ahead: bool = False,
) -> BufferedSource:
    return BufferedSource(source, Spool(path, limit), memory, write_ahead=write_ahead)


def segments(path: Path) -> list[Path]:
    return list(path.glob("*/*.spill"))


async def taken_in(source: Numbers, number: int) -> None:
    """Wait until so many batches have been taken from a source."""
    async with asyncio.timeout(20):
        while source.taken_in < number:  # noqa: ASYNC110 - a source has no events
            await asyncio.sleep(0.01)


def numbers(batches: list[Batch]) -> list[int]:
    return [int(batch.text) for batch in batches if batch.lines]


async def take(source: BufferedSource, number: int) -> list[Batch]:
    """Open it and take some batches, as a Kafka that acknowledges nothing does."""
    await source.open()
    async with aclosing(source.batches()) as batches:  # type: ignore[type-var] - a generator
        return [await anext(batches) for _ in range(number)]


async def test_all_comes_in_order_and_senders_hear_of_it(tmp_path: Path) -> None:
    """Once Kafka has it; nothing is written while there is room in memory."""
    inner = Numbers(5)
    source = kept_of(inner, tmp_path)
    async with collecting(source) as collected:
        await collected.until(lambda: collected.number == 5)
        await source.acknowledge(collected.batches[2].position)
        await source.acknowledge(collected.batches[4].position)
    assert numbers(collected.batches) == list(range(5))
    assert inner.told == ["at 2", "at 4"]
    assert segments(tmp_path) == []


async def test_a_sender_that_would_not_wait_goes_to_disk(tmp_path: Path) -> None:
    """Past the memory's limit, and nothing is lost or out of order."""
    inner = Numbers(1000, waits=False)
    source = kept_of(inner, tmp_path)
    await source.open()
    batches = source.batches()
    first = await anext(batches)
    await taken_in(inner, 1000)
    found = [first] + [await anext(batches) for _ in range(999)]
    assert numbers(found) == list(range(1000))
    assert segments(tmp_path)
    await source.acknowledge(found[-1].position)
    assert inner.told == ["at 999"]
    await batches.aclose()
    await source.close()
    assert segments(tmp_path) == []


async def test_a_sender_that_waits_is_let_wait_while_kafka_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Back-pressure before disk; the disk is for outages."""
    monkeypatch.setattr(kept, "_SECONDS_OF_PATIENCE", 0.3)
    inner = Numbers(100)
    source = kept_of(inner, tmp_path)
    await source.open()
    batches = source.batches()
    found = [await anext(batches)]
    for _ in range(30):
        await asyncio.sleep(0.02)
        await source.acknowledge(found[-1].position)
        found.append(await anext(batches))
    assert inner.taken_in < 40
    assert not segments(tmp_path)
    await taken_in(inner, 100)
    assert segments(tmp_path)
    await batches.aclose()
    await source.close()


@pytest.mark.parametrize("write_ahead", [False, True])
async def test_what_kafka_did_not_get_is_first_in_the_next_run(
    tmp_path: Path, *, write_ahead: bool
) -> None:
    """What was given out, what waited in memory and what is on disk."""
    inner = Numbers(50, waits=False)
    source = kept_of(inner, tmp_path, write_ahead=write_ahead)
    found = await take(source, 10)
    await source.acknowledge(found[2].position)
    await source.close()
    positions: dict[str, object] = {}
    if write_ahead:
        position = found[2].position
        assert isinstance(position, Position)
        positions[position.key] = position.value
    async with collecting(
        kept_of(Numbers(0), tmp_path, write_ahead=write_ahead), positions
    ) as rest:
        await rest.until(lambda: rest.number >= inner.taken_in - 3)
    assert numbers(rest.batches) == list(range(3, inner.taken_in))


async def test_what_nobody_delivers_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines of a run that read something else, of the same kind."""
    left = spool_for("stdin to a", tmp_path, 1 << 30)
    left.open()
    left.append([Batch.of(["left"])])
    left.close()
    spool = spool_for("stdin to b", tmp_path, 1 << 30)
    async with collecting(BufferedSource(Numbers(0), spool, BATCH, write_ahead=False)):
        pass
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("Lines are left that no producer is there to deliver: ")
    assert "bytes of `stdin to a` in" in said


class Lines(Numbers):
    """Ten thousand lines of ten bytes, read in one chunk."""

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield them, then wait to be stopped."""
        yield Batch.of((b"%010d" % n for n in range(10_000)), position="all")
        await self.stopping.wait()


class Taken:
    """Stands in for Kafka: what was taken, and when."""

    linger_until = None
    position: object = None

    def __init__(self) -> None:
        self.batches: list[tuple[float, Batch]] = []

    async def take(self, batch: Batch) -> None:
        """Take a batch in."""
        self.batches.append((time.monotonic(), batch))

    async def drain(self) -> None:
        """All is there."""


async def test_a_pace_is_kept_with_write_ahead(tmp_path: Path) -> None:
    """In steps of 4 KiB, though what was read together was longer; all of it comes, once."""
    inner, taken = Lines(0), Taken()
    source = kept_of(inner, tmp_path, write_ahead=True)
    await source.open()
    started = time.monotonic()
    pumping = asyncio.create_task(pump(source, taken, lines_per_second=2000))  # type: ignore[arg-type] - a stand-in
    async with asyncio.timeout(20):
        while len(taken.batches) < 4:  # noqa: ASYNC110 - a stand-in without events
            await asyncio.sleep(0.01)
    source.stop()
    await asyncio.wait_for(pumping, 20)
    # From before the first batch, which a busy machine may take late.
    assert taken.batches[3][0] - started > 0.5
    batches = [batch for _, batch in taken.batches]
    assert max(len(batch.text) for batch in batches) <= 4096
    assert b"\n".join(batch.text for batch in batches).split() == [
        b"%010d" % n for n in range(10_000)
    ]
    await source.acknowledge(batches[-2].position)
    assert inner.told == []
    await source.acknowledge(batches[-1].position)
    assert inner.told == ["all"]
    await source.close()


async def test_a_full_spool_stops_reading(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said, and goes on when there is room."""
    inner = Numbers(100, waits=False)
    source = kept_of(inner, tmp_path, limit=20 * BATCH)
    await source.open()
    batches = source.batches()
    found = [await anext(batches)]
    said = ""
    async with asyncio.timeout(20):
        while "no more are read until there is" not in said:
            await asyncio.sleep(0.01)
            said += capsys.readouterr().err
    assert inner.taken_in < 40
    while len(found) < 100:
        found.append(await anext(batches))
        await source.acknowledge(found[-1].position)
    assert numbers(found) == list(range(100))
    await batches.aclose()
    await source.close()
    assert "There is room for lines again" in capsys.readouterr().err


async def test_a_source_that_breaks_off_is_heard_of_after_its_lines(tmp_path: Path) -> None:
    """Everything that it yielded comes before its error."""
    source = kept_of(Numbers(20, fails=True, waits=False), tmp_path)
    await source.open()
    found: list[Batch] = []

    async def run() -> None:
        async for batch in source.batches():
            found.append(batch)  # noqa: PERF401 - they are wanted when it fails

    with pytest.raises(SourceError, match="it broke off"):
        await run()
    assert numbers(found) == list(range(20))
    await source.acknowledge(found[-1].position)
    await source.close()


async def test_lines_that_waited_keep_the_time_at_which_they_were_read(tmp_path: Path) -> None:
    """Those on disk carry it; it is what a run that comes hours later sends."""
    source = kept_of(Numbers(30, waits=False), tmp_path)
    found = await take(source, 1)
    assert found[0].timestamp_ms is None
    await source.close()
    async with collecting(kept_of(Numbers(0), tmp_path)) as rest:
        await rest.until(lambda: rest.number >= 1)
    assert all(cast("int", batch.timestamp_ms) > 1_700_000_000_000 for batch in rest.batches)
