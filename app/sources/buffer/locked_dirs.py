"""Numbered folders of a directory: one for each process that writes there, locked while it runs."""

from __future__ import annotations

import errno
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from app.file_lock import is_locked, try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["folders", "free", "locked", "take"]

_LOCK = "lock"
_MOST = 1000
_SECONDS_TO_LOOK = 0.01
"""Longer than another process needs to check whether a folder is free."""


def take(directory: Path) -> tuple[Path, IO[bytes]]:
    """Lock a folder that no other process has, and return it with its lock. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    for number in range(_MOST):
        folder = directory / str(number)
        with suppress(FileExistsError):
            folder.mkdir()
            (folder / _LOCK).touch()
        if _is_numbered(folder) and (lock := locked(folder)) is not None:
            return folder, lock
    raise OSError(errno.EAGAIN, f"{_MOST} processes keep lines there already")


def folders(directory: Path) -> Iterator[Path]:
    """The numbered folders of a directory; other files are ignored. Raises OSError."""
    yield from filter(_is_numbered, directory.iterdir())


def locked(folder: Path) -> IO[bytes] | None:
    """Lock a folder until the result is closed; None if another process has it. Raises OSError."""
    lock = try_lock(folder / _LOCK)
    if lock is None:
        # Retry once: `free` in another process holds a shared lock for a moment.
        time.sleep(_SECONDS_TO_LOOK)
        lock = try_lock(folder / _LOCK)
    return lock


def free(folder: Path) -> bool:
    """Whether no process has the folder."""
    return not is_locked(folder / _LOCK)


def _is_numbered(path: Path) -> bool:
    return path.name.isdecimal() and (path / _LOCK).is_file()
