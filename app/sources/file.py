"""Files, read in chunks from beginning to end; named pipes too."""

from __future__ import annotations

import asyncio
import bz2
import gzip
import lzma
import os
import stat
import zlib
from contextlib import closing
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

from app.errors import ConfigurationError
from app.sources.base import Batch, Source, SourceError
from app.sources.cutting import LineCutter
from app.sources.descriptor import CHUNK, read_chunks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from pathlib import Path

__all__ = ["COMPRESSED", "FilePosition", "FileSource", "check_file"]


def _open_zstandard(path: Path) -> IO[bytes]:
    import pyarrow as pa

    return cast("IO[bytes]", pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))


COMPRESSED: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _open_zstandard,
}
"""Suffixes of files that are decompressed, and how."""

_DAMAGED = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)


class FilePosition(NamedTuple):
    """A place in a file: everything before it has been read."""

    path: str
    inode: int
    offset: int
    """In bytes of the text, behind a newline or a space."""


class FileSource(Source):
    r"""The lines of files, one file after the other, `repeat` times (0: without end).

    Bytes stay as they are, `\r` before a newline too. A stopped source ends behind a whole line.
    """

    def __init__(self, paths: Sequence[Path], repeat: int = 1) -> None:
        super().__init__()
        self._paths = paths
        self._repeat = repeat
        self.acknowledged: FilePosition | None = None

    async def open(self) -> None:
        """Check that every file can be read, and sum up their sizes."""
        modes = [await asyncio.to_thread(check_file, path) for path in self._paths]
        if self._repeat and all(stat.S_ISREG(mode.st_mode) for mode in modes):
            self.size = self._repeat * sum(mode.st_size for mode in modes)

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield the lines of all files."""
        rounds = 0
        while not self._repeat or rounds < self._repeat:
            before = self.taken
            for path in self._paths:
                async for batch in self._read(path):
                    yield batch
            if self.stopping.is_set() or (not self._repeat and self.taken == before):
                return
            rounds += 1

    async def acknowledge(self, position: object) -> None:
        """Remember how far Kafka has the lines."""
        if isinstance(position, FilePosition):
            self.acknowledged = position

    async def _read(self, path: Path) -> AsyncIterator[Batch]:
        try:
            regular = await asyncio.to_thread(path.is_file)
            async for batch in self._read_regular(path) if regular else self._read_pipe(path):
                yield batch
        except _DAMAGED as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise SourceError(f"{path} can't be read to its end: {why}") from None

    async def _read_regular(self, path: Path) -> AsyncIterator[Batch]:
        opener = COMPRESSED.get(path.suffix)
        cutter = LineCutter()
        offset = 0
        start = self.taken
        with closing(await asyncio.to_thread(opener or _open_plain, path)) as file:
            inode = (await asyncio.to_thread(path.stat)).st_ino
            while not self.stopping.is_set():
                chunk = await asyncio.to_thread(file.read, CHUNK)
                if not chunk:
                    for batch in cutter.finish():
                        yield batch
                    break
                offset += len(chunk)
                self.taken = start + (offset if opener is None else _compressed_offset(file))
                batches = cutter.feed(chunk)
                position = FilePosition(str(path), inode, offset - cutter.pending)
                for batch in _positioned(batches, position):
                    yield batch

    async def _read_pipe(self, path: Path) -> AsyncIterator[Batch]:
        cutter = LineCutter()
        # Non-blocking: opening a pipe must not wait for somebody who writes into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            async for chunk in read_chunks(descriptor, self.stopping):
                for batch in cutter.feed(chunk):
                    yield batch
        finally:
            os.close(descriptor)
        for batch in cutter.finish():
            yield batch


def check_file(path: Path) -> os.stat_result:
    """What there is at a path. Raises ConfigurationError where no lines can be read from it."""
    try:
        found = path.stat()
        if not stat.S_ISDIR(found.st_mode):
            if stat.S_ISREG(found.st_mode):
                path.open("rb").close()
            return found
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}") from None
    raise ConfigurationError(f"{path} is a directory; name the files in it")


def _positioned(batches: Sequence[Batch], position: FilePosition) -> Iterable[Batch]:
    for batch in batches[:-1]:
        yield batch
    for batch in batches[-1:]:
        yield Batch(batch.text, batch.lines, position=position, refused=batch.refused)


def _open_plain(path: Path) -> IO[bytes]:
    return path.open("rb", buffering=0)


def _compressed_offset(file: Any) -> int:
    """How much of the compressed file has been read; 0 where that can't be told."""
    raw = getattr(file, "fileobj", None) or getattr(file, "_fp", None)
    return int(raw.tell()) if raw is not None else 0
