"""Standard input, a pipe or a file, is read without blocking; the sample is the documentation."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.sources.base import Batch
from app.sources.sample import SampleSource, sample_text
from app.sources.stdin import StdinSource


async def read(source: StdinSource) -> list[Batch]:
    await source.open()
    return [batch async for batch in source.batches()]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = list(os.pipe())
    yield ends[0], ends[1]
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


async def test_a_pipe_is_read_line_by_line_until_its_end(pipe: tuple[int, int]) -> None:
    """A line comes once it is complete; the event loop is not blocked meanwhile."""
    source = StdinSource(pipe[0])
    await source.open()
    batches = source.batches()
    following = asyncio.ensure_future(anext(batches))
    os.write(pipe[1], b"hal")
    done, _ = await asyncio.wait({following}, timeout=0.05)
    assert not done
    os.write(pipe[1], b"f\nla")
    assert (await asyncio.wait_for(following, 10)).text == b"half"
    os.write(pipe[1], b"st")
    os.close(pipe[1])
    assert [batch.text async for batch in batches] == [b"last"]


async def test_bytes_of_any_kind_and_a_line_of_100_mb_pass(tmp_path: Path) -> None:
    """Invalid UTF-8, NUL, empty lines, and a line that fits no message: no word is lost."""
    odd, words = b"\xff\xfe\n\0\n\n", b"0123456789abcde " * 6_250_000
    (tmp_path / "file").write_bytes(odd + words + b"\nend")
    with (tmp_path / "file").open("rb") as file:
        source = StdinSource(file.fileno())
        await source.open()
        batches = [batch async for batch in source.batches()]
    assert sum(batch.lines for batch in batches) == 5
    assert batches[0].text.startswith(odd.rstrip(b"\n"))
    assert sum(batch.text.count(b"0123456789abcde") for batch in batches) == 6_250_000
    assert batches[-1].text.endswith(b"end")


async def test_a_stopped_pipe_yields_the_incomplete_line(pipe: tuple[int, int]) -> None:
    """Bytes that were read can't be read again, so the line is delivered as it is."""
    source = StdinSource(pipe[0])
    os.write(pipe[1], b"a\nb")
    reading = asyncio.create_task(read(source))
    async with asyncio.timeout(10):
        await source.pause(0.05)
        source.stop()
        assert [batch.text for batch in await reading] == [b"a", b"b"]


async def test_a_file_as_standard_input(tmp_path: Path) -> None:
    """A redirected file is read to its end, though epoll refuses it."""
    path = tmp_path / "file"
    path.write_bytes(b"a\nb\n" * 200_000)
    with path.open("rb") as file:
        batches = await read(StdinSource(file.fileno()))
    assert sum(batch.lines for batch in batches) == 400_000


async def test_closed_standard_input_is_a_wrong_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names stdin."""
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(ConfigurationError, match="stdin is closed"):
        await StdinSource().open()


async def test_the_sample_is_the_documentation() -> None:
    """The complete text comes `repeat` times, and its size is known."""
    source = SampleSource(repeat=2)
    batches = [batch async for batch in source.batches()]
    text = sample_text().encode()
    assert b"\n".join(batch.text for batch in batches) == text + b"\n" + text
    assert sum(batch.lines for batch in batches) == 2 * (text.count(b"\n") + 1)
    assert source.size == source.taken


async def test_the_sample_has_no_end_unless_it_is_stopped() -> None:
    """By default the text repeats until the source is stopped."""
    source = SampleSource()
    rounds = 0
    async for batch in source.batches():
        rounds += batch.lines
        if rounds > 100_000:
            source.stop()
    assert source.size is None
