"""The source of `produce directory`: the lines of files as they appear in a directory."""

from __future__ import annotations

import asyncio
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from app.errors import ConfigurationError
from app.sources.base import Batch, Position, Source, SourceError
from app.sources.files.file import damage, positioned
from app.sources.files.text_file import DAMAGED, TextFile
from app.sources.notices import notify

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

__all__ = ["DirectorySource"]

_POLL_SECONDS = 0.25
_TEMPORARY = (".tmp", ".temp", ".part", ".partial", ".swp", ".crdownload", "._COPYING_", "~")
"""Suffixes that programs append to the names of files that are not complete yet."""


class DirectorySource(Source):
    """Yields the lines of the files in a directory: first the present files, then new ones.

    A file is read once, the oldest first. It must be complete when it gets its name: move it in.
    The source skips directories, and names that begin with a dot or end like a temporary file's.
    If a file has grown since it was read, the source reads the rest; a replaced file is a new one.
    A last line without a newline counts once its file has not been written to for a while.
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
        """Take over the positions of files in this directory."""
        prefix = self._key("")
        self._states = {
            key.removeprefix(prefix): value
            for key, value in positions.items()
            if key.startswith(prefix)
        }

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield the lines of files as they appear, without end."""
        while not self.stopping.is_set():
            try:
                found = await asyncio.to_thread(self._list)
            except OSError as error:
                raise SourceError(f"{self._path} can't be listed: {error.strerror}") from None
            # A batch without a line carries the deletion of the position into a transaction.
            for name in self._states.keys() - found.keys():
                del self._states[name]
                yield Batch(b"", 0, position=Position(self._key(name), None))
            for name in self._unread(found):
                async for batch in self._read(name, found[name]):
                    yield batch
            if await self.pause(_POLL_SECONDS):
                return

    def _list(self) -> dict[str, list[int]]:
        """The names of the files, each with modification time (ns), size and inode."""
        found = {}
        for path in self._path.iterdir():
            if path.name.startswith(".") or path.name.endswith(_TEMPORARY):
                continue
            with suppress(OSError):  # deleted since it was listed
                if path.is_file():
                    stat = path.stat()
                    found[path.name] = [stat.st_mtime_ns, stat.st_size, stat.st_ino]
        return found

    def _unread(self, found: Mapping[str, list[int]]) -> Iterator[str]:
        """Names of files that are new or have changed since they were read, the oldest first."""
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
                        return  # its state has no "seen", so the next poll reads the rest
                    if batches is None:
                        batches = file.finish() or [Batch(b"", 0)]
                        # "seen" is older than this read. A write in between changes the file's
                        # time or size, so the next poll finds a difference and reads the rest.
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
            # One damaged file must not hold up the files after it.
            self._damaged[name] = seen
            self.failures += 1
            notify(
                f"Error: {path} can't be read to its end ({damage(error)}); "
                "skipping it until it changes"
            )

    def _key(self, name: str) -> str:
        return f"directory {self._path}\0{name}"
