"""Growing files: their lines as they are written, through rotation, truncation and restarts."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from app.errors import ConfigurationError
from app.sources.base import Batch, Position, Source, SourceError
from app.sources.files.file import check_file, damage, positioned
from app.sources.files.rotation import files_since
from app.sources.files.text_file import COMPRESSED, DAMAGED, SETTLED_SECONDS, TextFile
from app.sources.progress import say

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["FollowSource"]

_POLL_SECONDS = 0.1


class FollowSource(Source):
    """The lines of files from their beginning, and then those that are written to them.

    A path is followed, not a file: when another file takes its place (rotation), what is still
    written to the old one within `rotated_seconds` is read too. A file that shrinks (truncation)
    is read from its beginning. A last line counts when its newline is written, or its file is over.
    A later run goes on where this one ended, in files that were rotated away meanwhile, too.
    """

    def __init__(self, paths: Sequence[Path], rotated_seconds: float = SETTLED_SECONDS) -> None:
        super().__init__()
        paths = [path.absolute() for path in paths]
        self._tails = [_Tail(path, rotated_seconds) for path in paths]
        self.name = " ".join(["follow", *map(str, paths)])

    async def open(self) -> None:
        """Check that every file is there and can be read."""
        for tail in self._tails:
            await asyncio.to_thread(check_file, tail.path)
            if tail.path.suffix in COMPRESSED or not tail.path.is_file():
                raise ConfigurationError(
                    f"{tail.path}: --follow goes with plain files; leave it out for this one"
                )

    async def resume(self, positions: Mapping[str, Any]) -> None:
        """Go on where the positions are."""
        for tail in self._tails:
            if tail.key in positions:
                await asyncio.to_thread(tail.resume, positions[tail.key]["files"])

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield lines as they are written, without end."""
        while not self.stopping.is_set():
            idle = True
            for tail in self._tails:
                try:
                    found = await asyncio.to_thread(tail.poll, self.chunk)
                except DAMAGED as error:
                    raise SourceError(f"{tail.path}: {damage(error)}") from None
                for batch in found:
                    idle = False
                    yield batch
            if idle and await self.pause(_POLL_SECONDS):
                return

    async def close(self) -> None:
        """Close the files."""
        for tail in self._tails:
            tail.close()


class _Tail:
    """One path and the files that have been there: the newest, and those just rotated away."""

    def __init__(self, path: Path, rotated_seconds: float) -> None:
        self.path = path
        self.key = f"follow {path}"
        self._rotated_seconds = rotated_seconds
        self._files: list[_Followed] = []

    def resume(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Open the files that the states are about, and those that came after them."""
        files, missing = files_since(self.path, states)
        for state in missing:
            say(
                f"{self.path}: the file that was followed has gone or was emptied; what was "
                f"written to it after {state['offset']:,} bytes can't be read any more"
            )
        self._files = [_Followed(file) for file in files]
        for file in files:
            say(f"{file.path}: going on after {file.place:,} bytes")

    def poll(self, chunk: int) -> list[Batch]:
        """Read on, in every file; the batches found."""
        self._look_for_another()
        for file in self._files:
            file.text.chunk = chunk
        batches = [batch for file in list(self._files) for batch in self._batches(file)]
        over = [file for file in self._files[:-1] if file.idle(self._rotated_seconds)]
        for file in over:
            self._files.remove(file)
            file.text.close()
            last = file.text.finish() or [Batch(b"", 0)]
            batches += positioned(last, self._position())
        return batches

    def close(self) -> None:
        for file in self._files:
            file.text.close()
        self._files = []

    def _batches(self, file: _Followed) -> Iterator[Batch]:
        found = file.read()
        yield from positioned(found, self._position())

    def _position(self) -> Position:
        return Position(
            self.key, {"files": [file.text.state for file in self._files if file.text.place]}
        )

    def _look_for_another(self) -> None:
        """Open the file at the path if it is not the one that was there."""
        with suppress(OSError):  # it is away for now, or not ours to read: look again later
            if self._files and self._files[-1].text.identity == _identity(self.path.stat()):
                return
            text = TextFile(self.path)
            # Between the two looks it may have been rotated once more.
            if any(other.text.identity == text.identity for other in self._files):
                text.close()
                return
            for other in self._files:
                other.since = time.monotonic()
            self._files.append(_Followed(text))


class _Followed:
    """A file and since when nothing new has been in it."""

    def __init__(self, text: TextFile) -> None:
        self.text = text
        self.since = time.monotonic()

    def read(self) -> list[Batch]:
        batches = self.text.rewind() if self.text.changed() else []
        found = self.text.read()
        if found is not None:
            self.since = time.monotonic()
        return batches + (found or [])

    def idle(self, seconds: float) -> bool:
        return self.since + seconds < time.monotonic()


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
