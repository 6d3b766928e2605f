"""The spool on the event loop: order, positions of the source, notices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.sources.base import Batch
from app.sources.buffer.spool import Spool
from app.sources.buffer.spool_queue import SpoolQueue

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


async def opened(path: Path) -> SpoolQueue:
    disk = SpoolQueue(Spool(path, 1 << 30))
    await disk.open()
    return disk


def of(number: int) -> Batch:
    return Batch.of([b"line %d" % number])


def cut_off_the_last_byte(path: Path) -> None:
    (segment,) = path.glob("*/*.spill")
    segment.write_bytes(segment.read_bytes()[:-1])


async def test_a_release_returns_the_newest_position_before_it(tmp_path: Path) -> None:
    """Positions of batches that Kafka does not have stay; batches may have none."""
    disk = await opened(tmp_path)
    for number, position in enumerate(("at 0", "at 1", None, "at 3")):
        await disk.append([of(number)], position)
    places = [found[1] for _ in range(4) if (found := await disk.read()) is not None]
    assert await disk.release(places[2]) == "at 1"
    assert await disk.release(places[2]) is None
    assert await disk.release(places[3]) == "at 3"
    await disk.close()


async def test_kept_batches_come_before_and_behind_those_on_disk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next run prints how much is left, and reads it in order."""
    disk = await opened(tmp_path)
    await disk.append([of(2)], None)
    await disk.keep([of(1)], [of(3)])
    await disk.close()
    again = await opened(tmp_path)
    assert "that an earlier run left" in capsys.readouterr().err
    found = [record[0] for _ in range(3) if (record := await again.read()) is not None]
    assert found == [of(1), of(2), of(3)]
    await again.close()


async def test_a_torn_end_is_printed_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A damaged record is skipped; the number of its bytes appears on stderr."""
    disk = await opened(tmp_path)
    await disk.append([of(1)], None)
    await disk.append([of(2)], None)
    await disk.close()
    cut_off_the_last_byte(tmp_path)
    again = await opened(tmp_path)
    found = [record[0] for _ in range(3) if (record := await again.read()) is not None]
    assert found == [of(1)]
    assert capsys.readouterr().err.count("were damaged and skipped") == 1
    await again.close()


async def test_a_removed_segment_is_named_once(tmp_path: Path) -> None:
    """A segment is removed once Kafka has all of it."""
    disk = await opened(tmp_path)
    await disk.append([of(1)], None)
    while (found := await disk.read()) is not None:
        place = found[1]
    await disk.release(place)
    assert disk.pop_removed() == place.segment
    assert disk.pop_removed() is None
    await disk.close()
