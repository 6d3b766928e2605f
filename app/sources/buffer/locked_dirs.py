"""Slots of a directory: a folder for each process that writes there, locked while it lives."""

from __future__ import annotations

import errno
import fcntl
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["free", "locked", "slots", "take"]

_LOCK = "lock"
_MOST = 1000
_SECONDS_TO_LOOK = 0.01
"""Longer than another process takes to see whether a slot is free."""


def take(directory: Path) -> tuple[Path, IO[bytes]]:
    """A slot that no other process has, and its lock. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    for number in range(_MOST):
        slot = directory / str(number)
        with suppress(FileExistsError):
            slot.mkdir()
            (slot / _LOCK).touch()
        if _is_slot(slot) and (lock := locked(slot)) is not None:
            return slot, lock
    raise OSError(errno.EAGAIN, f"{_MOST} processes keep lines there already")


def slots(directory: Path) -> Iterator[Path]:
    """All slots of a directory; whatever else may be in it is left alone. Raises OSError."""
    yield from filter(_is_slot, directory.iterdir())


def locked(slot: Path) -> IO[bytes] | None:
    """The slot's lock, until it is closed or the process ends; None if another process has it."""
    lock = (slot / _LOCK).open("ab")
    if _lock(lock, fcntl.LOCK_EX):
        return lock
    time.sleep(_SECONDS_TO_LOOK)
    if _lock(lock, fcntl.LOCK_EX):
        return lock
    lock.close()
    return None


def free(slot: Path) -> bool:
    """Whether no process has the slot."""
    with (slot / _LOCK).open("rb") as lock:
        return _lock(lock, fcntl.LOCK_SH)


def _lock(lock: IO[bytes], kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_slot(path: Path) -> bool:
    return path.name.isdecimal() and (path / _LOCK).is_file()
