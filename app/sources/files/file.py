"""The source of `produce file`: files and named pipes, read from beginning to end."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import stat
from contextlib import closing
from typing import TYPE_CHECKING, Any

from app.errors import ConfigurationError
from app.sources.base import Position, Source, SourceError
from app.sources.descriptor import read_chunks
from app.sources.files.text_file import DAMAGED, TextFile
from app.sources.line_splitter import LineCutter
from app.sources.notices import notify

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from pathlib import Path

    from app.sources.base import Batch

__all__ = ["FileSource", "check_file", "damage", "positioned"]


class FileSource(Source):
    r"""Yields the lines of files, one file after the other, `repeat` times (0: without end).

    Bytes stay as they are, `\r` before a newline too. A stopped source ends behind a whole line.
    With `resume`, the source skips the lines that an earlier run delivered, and leaves a last line
    that may not be complete yet to a later run.
    """

    def __init__(self, paths: Sequence[Path], repeat: int = 1, *, resume: bool = False) -> None:
        super().__init__()
        self._paths = [path.absolute() for path in paths] if resume else list(paths)
        self._repeat = repeat
        self._states: dict[str, Any] = {}
        if resume:
            self.name = " ".join(["file", *map(str, self._paths)])

    async def open(self) -> None:
        """Check that every file can be read, and add up the sizes."""
        modes = [await asyncio.to_thread(check_file, path) for path in self._paths]
        regular = all(stat.S_ISREG(mode.st_mode) for mode in modes)
        if self.name and not regular:
            raise ConfigurationError("a pipe can't be read again; leave out --resume")
        if self._repeat and regular:
            self.size = self._repeat * sum(mode.st_size for mode in modes)

    async def resume(self, positions: Mapping[str, Any]) -> None:
        """Take over the positions of these files."""
        for path in self._paths:
            if _key(path) in positions:
                self._states[_key(path)] = positions[_key(path)]

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield the lines of all files."""
        rounds = 0
        while not self._repeat or rounds < self._repeat:
            before = self.taken
            for path in self._paths:
                async for batch in self._read(path):
                    yield batch
            # Endless rounds over empty files would only burn the processor.
            if self.stopping.is_set() or (not self._repeat and self.taken == before):
                return
            rounds += 1

    async def _read(self, path: Path) -> AsyncIterator[Batch]:
        try:
            regular = await asyncio.to_thread(path.is_file)
            async for batch in self._read_regular(path) if regular else self._read_pipe(path):
                yield batch
        except DAMAGED as error:
            raise SourceError(f"{path} can't be read to its end: {damage(error)}") from None

    async def _read_regular(self, path: Path) -> AsyncIterator[Batch]:
        start = self.taken
        state = self._states.get(_key(path))
        with closing(await asyncio.to_thread(TextFile, path, state, self.chunk)) as file:
            if file.resumed:
                notify(f"{path}: resuming after {file.resume_offset:,} bytes, delivered before")
            self.taken = start + file.raw_offset
            while not self.stopping.is_set():
                found = await asyncio.to_thread(file.read)
                self.taken = start + file.raw_offset
                if found is None and self.name and await asyncio.to_thread(file.unfinished):
                    notify(
                        f"{path}: the last line has no newline and the file was written to a "
                        "moment ago; leaving that line for the next run"
                    )
                    return
                batches = file.finish() if found is None else found
                for batch in positioned(batches, Position(_key(path), file.state)):
                    yield batch
                if found is None:
                    return

    async def _read_pipe(self, path: Path) -> AsyncIterator[Batch]:
        cutter = LineCutter()
        # Non-blocking: opening a pipe must not wait until a process opens it for writing.
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
    """Return the stat of a path. Raises ConfigurationError if no lines can be read from it."""
    try:
        found = path.stat()
        if not stat.S_ISDIR(found.st_mode):
            if stat.S_ISREG(found.st_mode):
                path.open("rb").close()
            return found
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}") from None
    raise ConfigurationError(f"{path} is a directory; name the files in it")


def damage(error: BaseException) -> str:
    """Describe a reading error in a few words."""
    return str((isinstance(error, OSError) and error.strerror) or error)


def positioned(batches: Sequence[Batch], position: Position) -> Iterable[Batch]:
    """Yield the batches; the last one carries the position."""
    yield from batches[:-1]
    for batch in batches[-1:]:
        yield dataclasses.replace(batch, position=position)


def _key(path: Path) -> str:
    return f"file {path}"
