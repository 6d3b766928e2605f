"""Pacing keeps a rate and every line; dating gives one event time."""

import time
from collections.abc import AsyncIterator

import pytest

from app.sources.base import Batch, Source
from app.sources.transforms import cut, dated, paced


class Lines(Source):
    """A source of numbered lines in batches of `size`."""

    def __init__(self, number: int, size: int) -> None:
        super().__init__()
        self._number = number
        self._size = size

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield them."""
        for start in range(0, self._number, self._size):
            lines = [str(n) for n in range(start, min(start + self._size, self._number))]
            yield Batch.of(lines, position=start + len(lines))


async def test_a_rate_is_kept_and_no_line_is_lost() -> None:
    """300 lines at 1000 a second take 0.3 s less one step, and stay in order."""
    started = time.monotonic()
    batches = [batch async for batch in paced(Lines(300, 120), 1000)]
    seconds = time.monotonic() - started
    assert 0.24 <= seconds < 2
    assert b"\n".join(batch.text for batch in batches).split() == [b"%d" % n for n in range(300)]
    assert sum(batch.lines for batch in batches) == 300
    assert max(batch.lines for batch in batches) == 50
    assert [batch.position for batch in batches if batch.position] == [120, 240, 300]


async def test_stopping_ends_a_pause() -> None:
    """A stopped source does not wait for the time of its next line."""
    source = Lines(10, 10)
    batches = paced(source, 0.001)
    await anext(batches)
    source.stop()
    assert [batch async for batch in batches] == []


async def test_a_delay_causes_no_long_burst() -> None:
    """After a long wait for Kafka at most a second's lines come at once."""
    batches = paced(Lines(100_000, 100), 100)
    await anext(batches)
    stall = time.monotonic() + 1.5
    while time.monotonic() < stall:
        pass
    started = time.monotonic()
    lines = 0
    async for batch in batches:
        if time.monotonic() - started > 0.3:
            break
        lines += batch.lines
    await batches.aclose()
    assert 100 <= lines <= 100 + 50


async def test_dated_lines_have_the_given_time() -> None:
    """Every batch gets the event time, and keeps its lines and position."""
    batches = [batch async for batch in dated(Lines(3, 2).batches(), 42)]
    assert [(b.timestamp_ms, b.lines, b.position) for b in batches] == [(42, 2, 2), (42, 1, 3)]


async def test_lines_that_cannot_be_read_again_come_after_a_stop() -> None:
    """The rest of a batch comes without a pause and is not dropped."""
    source = Lines(10, 10)
    source.replayable = False
    batches = paced(source, 0.001)
    await anext(batches)
    source.stop()
    assert sum([batch.lines async for batch in batches]) == 9


def test_a_batch_is_cut_between_its_lines() -> None:
    """The parts are as few as fit; the last one has the position and the refused words."""
    batch = Batch(b"12\n\n34567\n8\n9\n", 6, 7, "here", 8, (("host", b"a"),), 9)
    parts = list(cut(batch, 4))
    assert [part.text for part in parts] == [b"12\n", b"34567", b"8\n9\n"]
    assert [part.lines for part in parts] == [2, 1, 3]
    assert [(part.position, part.refused) for part in parts] == [(None, 0)] * 2 + [("here", 8)]
    assert {(part.timestamp_ms, part.headers, part.partition_key) for part in parts} == {
        (7, (("host", b"a"),), 9)
    }


@pytest.mark.parametrize(
    "batch", [Batch(b"1\n2\n3", 1), Batch(b"12345", 1), Batch(b"12345", 0), Batch(b"", 0)]
)
def test_a_batch_without_a_place_to_cut_stays_whole(batch: Batch) -> None:
    """A line that is too long, a part of a line, and a line with newlines in it."""
    assert list(cut(batch, 4)) == [batch]


async def test_a_paced_batch_of_a_named_source_stays_whole() -> None:
    """It is delivered together with its position in one transaction."""
    source = Lines(300, 100)
    source.name = "lines"
    batches = [batch async for batch in paced(source, 1000)]
    assert [batch.lines for batch in batches] == [100, 100, 100]
