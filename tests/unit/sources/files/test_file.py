"""Files are read to their end, whatever their size, bytes and compression."""

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
    """Everything that a source yields."""
    await source.open()
    try:
        return [batch async for batch in source.batches()]
    finally:
        await source.close()


Compress = Callable[[bytes], bytes]


def text_of(batches: list[Batch]) -> bytes:
    return b"\n".join(batch.text for batch in batches)


def zstandard(data: bytes) -> bytes:
    return pa.compress(data, codec="zstd", asbytes=True)


async def test_lines_come_in_order_from_file_after_file(tmp_path: Path) -> None:
    """The last line counts without a newline too, and does not run into the next file."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"a\r\nb")
    second.write_bytes(b"c\n\xff\x00\n")
    batches = await read(FileSource([first, second]))
    assert text_of(batches) == b"a\r\nb\nc\n\xff\x00"
    assert sum(batch.lines for batch in batches) == 4


def age(path: Path, seconds: float = 10) -> None:
    """Let a file be as if it had been written so long ago."""
    then = time.time() - seconds
    os.utime(path, (then, then))


async def resumed(path: Path, positions: dict[str, object]) -> list[Batch]:
    """What a run with --resume yields; adds its positions to those of earlier runs."""
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
    """So a log whose writer flushes blocks has no line cut in two; it is said."""
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
async def test_a_last_line_that_nobody_writes_to_is_sent(tmp_path: Path, seconds: float) -> None:
    """By a run with --resume too; a time that lies ahead is not one of writing."""
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo")
    age(path, seconds)
    assert text_of(await resumed(path, {})) == b"one\ntwo"


async def test_a_compressed_file_says_itself_where_it_ends(tmp_path: Path) -> None:
    """Its last line is whole, however new it is."""
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(b"one\ntwo"))
    assert text_of(await resumed(path, {})) == b"one\ntwo"


async def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    """Nothing comes of nothing, even when it is repeated without end."""
    empty = tmp_path / "empty"
    empty.touch()
    assert await read(FileSource([empty], repeat=0)) == []


async def test_a_big_file_comes_in_chunks_with_positions(tmp_path: Path) -> None:
    """Reading on from any batch's position gives the rest of the lines."""
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
    """`repeat` sends everything so many times."""
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
    """The suffix says how; parts that were compressed one by one are read as one."""
    path = tmp_path / f"file{suffix}"
    path.write_bytes(compress(b"a b\n" * 100_000) + compress(b"c\n"))
    batches = await read(FileSource([path]))
    assert text_of(batches) == b"a b\n" * 100_000 + b"c"


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zst", zstandard)],
)
async def test_a_damaged_file_is_named(tmp_path: Path, suffix: str, compress: Compress) -> None:
    """A compressed file that breaks off, or is none, ends the source with its name."""
    path = tmp_path / f"file{suffix}"
    path.write_bytes(compress(os.urandom(100_000))[:-9])
    with pytest.raises(SourceError, match=f"file{suffix} can't be read to its end"):
        await read(FileSource([path]))
    path.write_bytes(b"this is not compressed, and long enough to tell")
    with pytest.raises(SourceError, match=f"file{suffix} can't be read to its end"):
        await read(FileSource([path]))


async def test_a_wrong_path_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    """A missing file and a directory are wrong arguments."""
    with pytest.raises(ConfigurationError, match="missing can't be read: No such file"):
        await read(FileSource([tmp_path / "missing"]))
    with pytest.raises(ConfigurationError, match="is a directory"):
        await read(FileSource([tmp_path]))


async def test_a_stopped_source_ends_behind_a_whole_line(tmp_path: Path) -> None:
    """What is not taken in stays in the file; no line is cut."""
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
    """Opening a pipe does not wait for its writer in a way that stops everything else."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = asyncio.create_task(read(FileSource([path])))

    def write() -> None:
        path.write_bytes(b"a\nb")

    await asyncio.to_thread(write)
    assert text_of(await asyncio.wait_for(reading, 10)) == b"a\nb"
