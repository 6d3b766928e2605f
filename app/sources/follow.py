"""Growing files: their lines as they are written, through rotation and truncation."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from app.errors import ConfigurationError
from app.sources.base import Batch, Source, SourceError
from app.sources.cutting import LineCutter
from app.sources.file import COMPRESSED, FilePosition, check_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

__all__ = ["FollowSource"]

_POLL_SECONDS = 0.1
_ROTATED_SECONDS = 5.0
_CHUNK = 1 << 20


class FollowSource(Source):
    """The lines of files from their beginning, and then those that are written to them.

    A path is followed, not a file: when another file takes its place (rotation), what is still
    written to the old one within `rotated_seconds` is read too. A file that shrinks (truncation)
    is read from its beginning. A last line counts when its newline is written, or its file is over.
    """

    def __init__(self, paths: Sequence[Path], rotated_seconds: float = _ROTATED_SECONDS) -> None:
        super().__init__()
        self._tails = [_Tail(path, rotated_seconds) for path in paths]
        self.acknowledged: dict[str, FilePosition] = {}

    async def open(self) -> None:
        """Check that every file is there and can be read."""
        for tail in self._tails:
            await asyncio.to_thread(check_file, tail.path)
            if tail.path.suffix in COMPRESSED or not tail.path.is_file():
                raise ConfigurationError(
                    f"{tail.path}: --follow goes with plain files; leave it out for this one"
                )

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield lines as they are written, without end."""
        while not self.stopping.is_set():
            try:
                found = await asyncio.to_thread(lambda: [tail.poll() for tail in self._tails])
            except OSError as error:
                raise SourceError(f"{error.filename}: {error.strerror}") from None
            for batch in (batch for batches in found for batch in batches):
                yield batch
            if not any(found) and await self.pause(_POLL_SECONDS):
                return

    async def acknowledge(self, position: object) -> None:
        """Remember how far Kafka has the lines."""
        if isinstance(position, FilePosition):
            self.acknowledged[position.path] = position

    async def close(self) -> None:
        """Close the files."""
        for tail in self._tails:
            tail.close()


class _Tail:
    """One path and the files that have been there: the newest, and those just rotated away."""

    def __init__(self, path: Path, rotated_seconds: float) -> None:
        self.path = path
        self._rotated_seconds = rotated_seconds
        self._files: list[_OpenFile] = []

    def poll(self) -> list[Batch]:
        """Read on, in every file; the batches found."""
        self._look_for_another()
        batches = [batch for file in self._files for batch in file.read()]
        for file in self._files[:-1]:
            if file.idle_since + self._rotated_seconds < time.monotonic():
                batches += file.finish()
                self._files.remove(file)
        return batches

    def close(self) -> None:
        for file in self._files:
            file.close()
        self._files = []

    def _look_for_another(self) -> None:
        """Open the file at the path if it is not the one that was there."""
        with suppress(OSError):  # it is away for now, or not ours to read: look again later
            inode = _identity(self.path.stat())
            if not self._files or self._files[-1].identity != inode:
                file = _OpenFile(self.path)
                # Between the two looks it may have been rotated once more.
                if any(other.identity == file.identity for other in self._files):
                    file.close()
                else:
                    self._files.append(file)
                    for other in self._files[:-1]:
                        other.idle_since = time.monotonic()


class _OpenFile:
    """A file, how far it has been read, and the line that is not yet whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] = path.open("rb", buffering=0)
        self.identity = _identity(os.fstat(self._file.fileno()))
        self._offset = 0
        self._cutter = LineCutter()
        self.idle_since = time.monotonic()

    def read(self) -> list[Batch]:
        """Read the next chunk, if there is more."""
        batches = []
        if os.fstat(self._file.fileno()).st_size < self._offset:  # truncated
            batches = self._cutter.finish()
            self._file.seek(0)
            self._offset = 0
        chunk = self._file.read(_CHUNK)
        if not chunk:
            return batches
        self.idle_since = time.monotonic()
        self._offset += len(chunk)
        batches += self._cutter.feed(chunk)
        if batches:
            end = self._offset - self._cutter.pending
            position = FilePosition(str(self._path), self.identity[1], end)
            last = batches[-1]
            batches[-1] = Batch(last.text, last.lines, position=position, refused=last.refused)
        return batches

    def finish(self) -> list[Batch]:
        """Close it; the last line, if it has no newline."""
        self.close()
        return self._cutter.finish()

    def close(self) -> None:
        self._file.close()


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
