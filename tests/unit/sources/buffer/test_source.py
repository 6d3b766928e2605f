"""Lines wait in memory or on disk until Kafka has them."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import cast

import pytest

from app.sources.base import Batch, Position, Source, SourceError
from app.sources.buffer import source as buffer_source
from app.sources.buffer.source import BufferedSource
from app.sources.buffer.spool import Spool
from app.sources.buffer.spools import spool_for
from app.sources.pump import pump
from tests.collecting import batches_of, collecting

BATCH = 1000


class Numbers(Source):
    """A given number of batches of a thousand bytes."""

    replayable = False

    def __init__(self, number: int, *, waits: bool = True, fails: bool = False) -> None:
        super().__init__()
        self.taken_in = 0
        self.acknowledged: list[object] = []
        self._number = number
        self.waits = waits
        self._fails = fails

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield them, then wait for the stop."""
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
        self.acknowledged.append(position)


def buffered(
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
    """Open a source and take some batches, as with a Kafka that acknowledges nothing."""
    await source.open()
    async with aclosing(batches_of(source)) as batches:
        return [await anext(batches) for _ in range(number)]


async def test_batches_keep_their_order_and_the_source_gets_acknowledgements(
    tmp_path: Path,
) -> None:
    """Nothing is written to disk while there is space in memory."""
    inner = Numbers(5)
    source = buffered(inner, tmp_path)
    async with collecting(source) as collected:
        await collected.until(lambda: collected.number == 5)
        await source.acknowledge(collected.batches[2].position)
        await source.acknowledge(collected.batches[4].position)
    assert numbers(collected.batches) == list(range(5))
    assert inner.acknowledged == ["at 2", "at 4"]
    assert segments(tmp_path) == []


async def test_lines_of_a_sender_that_does_not_wait_go_to_disk(tmp_path: Path) -> None:
    """Beyond the memory's limit no line is lost or out of order."""
    inner = Numbers(1000, waits=False)
    source = buffered(inner, tmp_path)
    await source.open()
    batches = batches_of(source)
    first = await anext(batches)
    await taken_in(inner, 1000)
    found = [first] + [await anext(batches) for _ in range(999)]
    assert numbers(found) == list(range(1000))
    assert segments(tmp_path)
    await source.acknowledge(found[-1].position)
    assert inner.acknowledged == ["at 999"]
    await batches.aclose()
    await source.close()
    assert segments(tmp_path) == []


async def test_a_sender_that_waits_is_not_read_while_kafka_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Back-pressure comes before the disk, which is for outages."""
    monkeypatch.setattr(buffer_source, "_SECONDS_TO_OUTAGE", 0.3)
    inner = Numbers(100)
    source = buffered(inner, tmp_path)
    await source.open()
    batches = batches_of(source)
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
async def test_unacknowledged_lines_come_first_in_the_next_run(
    tmp_path: Path, *, write_ahead: bool
) -> None:
    """Those that were yielded, those that waited in memory and those on disk."""
    inner = Numbers(50, waits=False)
    source = buffered(inner, tmp_path, write_ahead=write_ahead)
    found = await take(source, 10)
    await source.acknowledge(found[2].position)
    await source.close()
    positions: dict[str, object] = {}
    if write_ahead:
        position = found[2].position
        assert isinstance(position, Position)
        positions[position.key] = position.value
    async with collecting(
        buffered(Numbers(0), tmp_path, write_ahead=write_ahead), positions
    ) as rest:
        await rest.until(lambda: rest.number >= inner.taken_in - 3)
    assert numbers(rest.batches) == list(range(3, inner.taken_in))


async def test_lines_that_no_producer_delivers_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of a run of the same source with another input."""
    left = spool_for("stdin to a", tmp_path, 1 << 30)
    left.open()
    left.append([Batch.of(["left"])])
    left.close()
    spool = spool_for("stdin to b", tmp_path, 1 << 30)
    async with collecting(BufferedSource(Numbers(0), spool, BATCH, write_ahead=False)):
        pass
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("No running producer delivers these lines of other inputs: ")
    assert "bytes of `stdin to a` in" in line


class Lines(Numbers):
    """Ten thousand lines of ten bytes, read in one chunk."""

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield them, then wait for the stop."""
        yield Batch.of((b"%010d" % n for n in range(10_000)), position="all")
        await self.stopping.wait()


class Taken:
    """A fake delivery: keeps batches with the times at which they were taken."""

    linger_until = None
    position: object = None

    def __init__(self) -> None:
        self.batches: list[tuple[float, Batch]] = []

    async def take(self, batch: Batch) -> None:
        """Take a batch in."""
        self.batches.append((time.monotonic(), batch))

    async def drain(self) -> None:
        """Do nothing: everything is acknowledged."""


async def test_a_pace_is_kept_with_write_ahead(tmp_path: Path) -> None:
    """In steps of 4 KiB, even if more was read at once; every line comes once."""
    inner, taken = Lines(0), Taken()
    source = buffered(inner, tmp_path, write_ahead=True)
    await source.open()
    started = time.monotonic()
    pumping = asyncio.create_task(pump(source, taken, lines_per_second=2000))  # type: ignore[arg-type]  # a stand-in
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
    assert inner.acknowledged == []
    await source.acknowledge(batches[-1].position)
    assert inner.acknowledged == ["all"]
    await source.close()


async def test_a_full_spool_stops_reading(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reason is printed, and reading resumes once there is space."""
    inner = Numbers(100, waits=False)
    source = buffered(inner, tmp_path, limit=20 * BATCH)
    await source.open()
    batches = batches_of(source)
    found = [await anext(batches)]
    errors = ""
    async with asyncio.timeout(20):
        while "reading waits for space" not in errors:
            await asyncio.sleep(0.01)
            errors += capsys.readouterr().err
    assert inner.taken_in < 40
    while len(found) < 100:
        found.append(await anext(batches))
        await source.acknowledge(found[-1].position)
    assert numbers(found) == list(range(100))
    await batches.aclose()
    await source.close()
    assert "There is space for lines again" in capsys.readouterr().err


async def test_the_error_of_a_source_comes_after_its_lines(tmp_path: Path) -> None:
    """Everything that the source yielded comes before its error."""
    source = buffered(Numbers(20, fails=True, waits=False), tmp_path)
    await source.open()
    found: list[Batch] = []

    async def run() -> None:
        async for batch in source.batches():
            found.append(batch)  # noqa: PERF401 - they are needed after the failure

    with pytest.raises(SourceError, match="it broke off"):
        await run()
    assert numbers(found) == list(range(20))
    await source.acknowledge(found[-1].position)
    await source.close()


async def test_lines_that_waited_keep_the_time_at_which_they_were_read(tmp_path: Path) -> None:
    """Lines on disk carry it, so a run hours later sends it."""
    source = buffered(Numbers(30, waits=False), tmp_path)
    found = await take(source, 1)
    assert found[0].timestamp_ms is None
    await source.close()
    async with collecting(buffered(Numbers(0), tmp_path)) as rest:
        await rest.until(lambda: rest.number >= 1)
    assert all(cast("int", batch.timestamp_ms) > 1_700_000_000_000 for batch in rest.batches)
