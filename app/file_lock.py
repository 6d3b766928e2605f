"""Locks between processes: a file that one process holds until it closes the file or ends."""

from __future__ import annotations

import fcntl
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_locked", "lock", "try_lock"]


def lock(path: Path) -> IO[bytes]:
    """Create the file if it is missing, wait for its lock, and return the file that holds it.

    The kernel releases the lock when the file is closed or the process ends, even by kill -9.
    Raises OSError.
    """
    return _open(path, fcntl.LOCK_EX)


def try_lock(path: Path) -> IO[bytes] | None:
    """Lock a file as `lock` does; None if another process holds it. Raises OSError."""
    try:
        return _open(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of a file that exists. Raises OSError."""
    with path.open("rb") as file:
        try:
            # A shared lock: two processes that look at the same moment do not hinder each other.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _open(path: Path, kind: int) -> IO[bytes]:
    file = path.open("ab")
    try:
        fcntl.flock(file, kind)
    except BaseException:
        file.close()
        raise
    return file
