"""The source of `produce file --follow`: growing files, through rotation and truncation."""

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
from app.sources.notices import notify

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["FollowSource"]

_POLL_SECONDS = 0.1


class FollowSource(Source):
    """Yields the lines of files from their beginning, and then new lines as they are written.

    The source follows a path, not a file. After another file has taken the path (rotation), it
    reads the old file on until nothing was written to it for `rotated_seconds`. It reads a file
    that shrank (truncation) from the beginning. A last line counts when its newline is written or
    its file has ended. A later run resumes there, also in files that were rotated away meanwhile.
    """

    def __init__(self, paths: Sequence[Path], rotated_seconds: float = SETTLED_SECONDS) -> None:
        super().__init__()
        paths = [path.absolute() for path in paths]
        self._tails = [_Tail(path, rotated_seconds) for path in paths]
        self.name = " ".join(["follow", *map(str, paths)])

    async def open(self) -> None:
        """Check that every file exists and can be read."""
        for tail in self._tails:
            await asyncio.to_thread(check_file, tail.path)
            if tail.path.suffix in COMPRESSED or not tail.path.is_file():
                raise ConfigurationError(
                    f"{tail.path}: --follow needs plain files; leave --follow out for this one"
                )

    async def resume(self, positions: Mapping[str, Any]) -> None:
        """Open the files at the positions of an earlier run."""
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
    """One path and its open files: the newest, and those that were rotated away just now."""

    def __init__(self, path: Path, rotated_seconds: float) -> None:
        self.path = path
        self.key = f"follow {path}"
        self._rotated_seconds = rotated_seconds
        self._files: list[_Followed] = []

    def resume(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Open the files of the states, and the files that came after them."""
        files, missing = files_since(self.path, states)
        for state in missing:
            notify(
                f"{self.path}: the followed file was deleted or emptied; its lines after "
                f"{state['offset']:,} bytes are lost"
            )
        self._files = [_Followed(file) for file in files]
        for file in files:
            notify(f"{file.path}: resuming after {file.resume_offset:,} bytes")

    def poll(self, chunk: int) -> list[Batch]:
        """Read the next chunk of every file; return the batches."""
        self._detect_rotation()
        for file in self._files:
            file.text.chunk = chunk
        batches = [batch for file in list(self._files) for batch in self._batches(file)]
        # The last file is at the path; the ones before it were rotated away and may end.
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
        # Without files of which nothing was read: every text begins like an empty one, so a later
        # run could not recognise them.
        return Position(
            self.key,
            {"files": [file.text.state for file in self._files if file.text.resume_offset]},
        )

    def _detect_rotation(self) -> None:
        """Open the file at the path if another file has taken the path."""
        with suppress(OSError):  # missing or not readable now: the next poll checks again
            if self._files and self._files[-1].text.identity == _identity(self.path.stat()):
                return
            text = TextFile(self.path)
            # The path may have been rotated once more between stat and open.
            if any(other.text.identity == text.identity for other in self._files):
                text.close()
                return
            for other in self._files:
                other.restart_idle_time()
            self._files.append(_Followed(text))


class _Followed:
    """An open file and the time of the last new bytes in it."""

    def __init__(self, text: TextFile) -> None:
        self.text = text
        self._changed_at = time.monotonic()

    def restart_idle_time(self) -> None:
        self._changed_at = time.monotonic()

    def read(self) -> list[Batch]:
        batches = self.text.rewind() if self.text.changed() else []
        found = self.text.read()
        if found is not None:
            self.restart_idle_time()
        return batches + (found or [])

    def idle(self, seconds: float) -> bool:
        return self._changed_at + seconds < time.monotonic()


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
