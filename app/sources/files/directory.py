"""A directory that files are moved into: their lines, each file once."""

from __future__ import annotations

import asyncio
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from app.errors import ConfigurationError
from app.sources.base import Batch, Position, Source, SourceError
from app.sources.files.file import damage, positioned
from app.sources.files.text_file import DAMAGED, TextFile
from app.sources.progress import say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

__all__ = ["DirectorySource"]

_POLL_SECONDS = 0.25
_TEMPORARY = (".tmp", ".temp", ".part", ".partial", ".swp", ".crdownload", "._COPYING_", "~")
"""What those who write files put behind names that are not final yet."""


class DirectorySource(Source):
    """The lines of the files in a directory: of those that are there, then of those that come.

    A file is read once, oldest first, so it is to be complete when it gets its name: move it in.
    Names that begin with a dot or end like a temporary file's are left alone, and so are
    directories. A file that has grown after it was read is read on; one that was replaced is new.
    A last line without a newline counts once nobody has written to its file for a while.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path.absolute()
        self.name = f"directory {self._path}"
        self._states: dict[str, Mapping[str, Any]] = {}
        self._damaged: dict[str, list[int]] = {}

    async def open(self) -> None:
        """Check that the directory can be listed."""
        try:
            await asyncio.to_thread(lambda: next(self._path.iterdir(), None))
        except OSError as error:
            raise ConfigurationError(f"{self._path} can't be listed: {error.strerror}") from None

    async def resume(self, positions: Mapping[str, Any]) -> None:
        """Go on where the positions are, in files that they are about."""
        prefix = self._key("")
        self._states = {
            key.removeprefix(prefix): value
            for key, value in positions.items()
            if key.startswith(prefix)
        }

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield the lines of files as they come, without end."""
        while not self.stopping.is_set():
            try:
                found = await asyncio.to_thread(self._look)
            except OSError as error:
                raise SourceError(f"{self._path} can't be listed: {error.strerror}") from None
            for name in self._states.keys() - found.keys():
                del self._states[name]
                yield Batch(b"", 0, position=Position(self._key(name), None))
            for name in self._unread(found):
                async for batch in self._read(name, found[name]):
                    yield batch
            if await self.pause(_POLL_SECONDS):
                return

    def _look(self) -> dict[str, list[int]]:
        """Names of the files that are there, with modification time (ns), size and inode."""
        found = {}
        for path in self._path.iterdir():
            if path.name.startswith(".") or path.name.endswith(_TEMPORARY):
                continue
            with suppress(OSError):  # gone meanwhile
                if path.is_file():
                    stat = path.stat()
                    found[path.name] = [stat.st_mtime_ns, stat.st_size, stat.st_ino]
        return found

    def _unread(self, found: Mapping[str, list[int]]) -> Iterator[str]:
        for name in sorted(found, key=lambda name: (found[name], name)):
            seen = self._damaged.get(name) or self._states.get(name, {}).get("seen")
            if self.stopping.is_set():
                return
            if seen != found[name]:
                yield name

    async def _read(self, name: str, seen: list[int]) -> AsyncIterator[Batch]:
        key = self._key(name)
        try:
            path = self._path / name
            state: Any = self._states.get(name)
            opening = asyncio.to_thread(TextFile, path, state, self.chunk)
            with closing(await opening) as file:
                while not self.stopping.is_set():
                    batches = await asyncio.to_thread(file.read)
                    state = file.state
                    if batches is None and await asyncio.to_thread(file.unfinished):
                        return  # it looks unread, and is read on at the next look
                    if batches is None:
                        batches = file.finish() or [Batch(b"", 0)]
                        # What was written since `seen` was looked at makes it look unread again.
                        state = {**file.state, "seen": seen}
                        self._damaged.pop(name, None)
                    self._states[name] = state
                    for batch in positioned(batches, Position(key, state)):
                        yield batch
                    if "seen" in state:
                        return
        except FileNotFoundError:
            return
        except DAMAGED as error:
            # One bad file must not hold up those that come after it.
            self._damaged[name] = seen
            self.failures += 1
            say(f"Error: {path} can't be read to its end and is left: {damage(error)}")

    def _key(self, name: str) -> str:
        return f"directory {self._path}\0{name}"
