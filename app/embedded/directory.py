"""The data directory of a server: kept if the user named it, otherwise temporary."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import IO

from app.errors import ConfigurationError, UnavailableError
from app.file_lock import try_lock

__all__ = ["DataDirectory"]

_PREFIX = "wordcount-stream-"
_LOCK = "in-use"
_SECONDS_TO_LOCK = 60.0


class DataDirectory:
    """The directory of a server's data, locked for one server at a time.

    A temporary directory is created on first use. Temporary directories of killed processes are
    removed when the next one is created.
    """

    def __init__(self, given: Path | str | None, name: str) -> None:
        self._given = None if given is None else Path(given).absolute()
        self._temporary: Path | None = None
        self._name = name
        self._lock: IO[bytes] | None = None

    @property
    def path(self) -> Path:
        """The directory. Raises ConfigurationError if it can't be created."""
        path = self._given or self._temporary
        if path is None:
            _remove_leftovers()
            path = self._temporary = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{self._name}-"))
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"{path}: can't be created ({error.strerror}); name a directory you can write"
            ) from None
        return path

    @property
    def is_temporary(self) -> bool:
        """Whether `discard` removes it."""
        return self._given is None

    def acquire(self) -> Path:
        """Lock it for this server. Raises UnavailableError if another server has locked it."""
        path = self.path
        if self._lock is None:
            try:
                self._lock = try_lock(path / _LOCK)
            except OSError as error:
                raise ConfigurationError(
                    f"{path}: can't be written ({error.strerror}); name a directory you can write"
                ) from None
            if self._lock is None:
                raise UnavailableError(
                    f"{path} is in use by another {self._name}; stop it, or name another directory"
                )
        return path

    def release(self) -> None:
        """Unlock it, unless it is temporary: that stays locked until it is removed."""
        if self._given is not None:
            self._unlock()

    def discard(self) -> None:
        """Unlock it, and remove it if it is temporary."""
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
        self._unlock()
        self._temporary = None

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _remove_leftovers() -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            # A new directory may not be locked yet.
            if time.time() - path.stat().st_ctime < _SECONDS_TO_LOCK:
                continue
            lock = try_lock(path / _LOCK)
        except OSError:
            continue  # another process removes it too, or another user owns it
        if lock is not None:
            with lock:
                shutil.rmtree(path, ignore_errors=True)
