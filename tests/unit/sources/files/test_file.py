"""A file source reads files of any size, bytes and compression to their end."""

import asyncio
import bz2
import gzip
import lzma
import os
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from app.errors import ConfigurationError
from app.sources.base import Batch, Position, Source, SourceError
from app.sources.files.file import FileSource


async def read(source: Source) -> list[Batch]:
    """Return all batches of a source."""
    await source.open()
    try:
        return [batch async for batch in source.batches()]
    finally:
        await source.close()


Compress = Callable[[bytes], bytes]


def text_of(batches: list[Batch]) -> bytes:
    return b"\n".join(batch.text for batch in batches)


def zstandard(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


async def test_lines_come_in_order_from_file_after_file(tmp_path: Path) -> None:
    """The last line counts without a newline too, and does not run into the next file."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"a\r\nb")
    second.write_bytes(b"c\n\xff\x00\n")
    batches = await read(FileSource([first, second]))
    assert text_of(batches) == b"a\r\nb\nc\n\xff\x00"
    assert sum(batch.lines for batch in batches) == 4


def age(path: Path, seconds: float = 10) -> None:
    """Set the modification time of a file to so many seconds ago."""
    then = time.time() - seconds
    os.utime(path, (then, then))


async def resumed(path: Path, positions: dict[str, object]) -> list[Batch]:
    """Return the batches of a run with --resume; add its positions to those of earlier runs."""
    source = FileSource([path], resume=True)
    await source.resume(positions)
    batches = await read(source)
    for batch in batches:
        assert isinstance(batch.position, Position)
        positions[batch.position.key] = batch.position.value
    return batches


async def test_a_line_that_is_being_written_is_left_for_the_next_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A log whose writer flushes blocks has no line cut in two; stderr reports it."""
    path = tmp_path / "log"
    path.write_bytes(b"one\ntw")
    positions: dict[str, object] = {}
    assert text_of(await resumed(path, positions)) == b"one"
    assert "log: the last line has no newline" in capsys.readouterr().err
    with path.open("ab") as file:
        file.write(b"o\nthree\n")
    assert text_of(await resumed(path, positions)) == b"two\nthree"
    assert await resumed(path, positions) == []
    assert "newline" not in capsys.readouterr().err


@pytest.mark.parametrize("seconds", [10, -10])
async def test_a_last_line_that_is_not_being_written_is_sent(
    tmp_path: Path, seconds: float
) -> None:
    """A run with --resume sends it, also if the modification time lies in the future."""
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo")
    age(path, seconds)
    assert text_of(await resumed(path, {})) == b"one\ntwo"


async def test_the_last_line_of_a_compressed_file_is_complete(tmp_path: Path) -> None:
    """The format marks the end, so a new file needs no waiting time."""
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(b"one\ntwo"))
    assert text_of(await resumed(path, {})) == b"one\ntwo"


async def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    """An empty file gives no batches, and ends an endless repetition."""
    empty = tmp_path / "empty"
    empty.touch()
    assert await read(FileSource([empty], repeat=0)) == []


async def test_a_big_file_comes_in_chunks_with_positions(tmp_path: Path) -> None:
    """Resuming at the position of any batch gives the rest of the lines."""
    path = tmp_path / "big"
    data = b"".join(b"line %d\n" % n for n in range(200_000))
    path.write_bytes(data)
    source = FileSource([path])
    batches = await read(source)
    assert len(batches) > 5
    assert text_of(batches) == data[:-1]
    assert source.taken == source.size == len(data)
    position = batches[2].position
    assert isinstance(position, Position)
    assert position.value is not None
    assert data[position.value["offset"] :] == text_of(batches[3:]) + b"\n"


async def test_files_are_repeated(tmp_path: Path) -> None:
    """`repeat` sends all lines so many times."""
    path = tmp_path / "file"
    path.write_bytes(b"a\nb\n")
    assert text_of(await read(FileSource([path], repeat=3))).split() == [b"a", b"b"] * 3


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zst", zstandard)],
)
async def test_compressed_files_are_decompressed(
    tmp_path: Path, suffix: str, compress: Compress
) -> None:
    """The suffix selects the format; parts compressed one by one are read as one text."""
    path = tmp_path / f"file{suffix}"
    path.write_bytes(compress(b"a b\n" * 100_000) + compress(b"c\n"))
    batches = await read(FileSource([path]))
    assert text_of(batches) == b"a b\n" * 100_000 + b"c"


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zst", zstandard)],
)
async def test_a_damaged_file_is_named(tmp_path: Path, suffix: str, compress: Compress) -> None:
    """A truncated file, or one that is not compressed, ends the source with its name."""
    path = tmp_path / f"file{suffix}"
    path.write_bytes(compress(os.urandom(100_000))[:-9])
    with pytest.raises(SourceError, match=f"file{suffix} can't be read to its end"):
        await read(FileSource([path]))
    path.write_bytes(b"this is not compressed, and long enough to be sure")
    with pytest.raises(SourceError, match=f"file{suffix} can't be read to its end"):
        await read(FileSource([path]))


async def test_a_wrong_path_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    """A missing file and a directory are wrong arguments."""
    with pytest.raises(ConfigurationError, match="missing can't be read: No such file"):
        await read(FileSource([tmp_path / "missing"]))
    with pytest.raises(ConfigurationError, match="is a directory"):
        await read(FileSource([tmp_path]))


async def test_a_stopped_source_ends_behind_a_whole_line(tmp_path: Path) -> None:
    """Lines that were not read stay in the file; no line is cut."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789\n" * 100_000)
    source = FileSource([path])
    await source.open()
    batches = []
    async for batch in source.batches():
        batches.append(batch)
        source.stop()
    assert len(batches) == 1
    assert set(text_of(batches).split(b"\n")) == {b"0123456789"}


async def test_a_named_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    """Opening a pipe without a writer does not block the event loop."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = asyncio.create_task(read(FileSource([path])))

    def write() -> None:
        path.write_bytes(b"a\nb")

    await asyncio.to_thread(write)
    assert text_of(await asyncio.wait_for(reading, 10)) == b"a\nb"
