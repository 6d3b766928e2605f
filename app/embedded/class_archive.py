"""Archives of loaded classes: a server that maps one starts with half the CPU time.

Java calls it class data sharing (CDS). The first JVM of a server that ends in order writes the
archive; each later one maps it. A JVM ignores an archive that does not fit it or its jars.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
from typing import IO, TYPE_CHECKING

from app.embedded.jars import cache_directory
from app.file_lock import try_lock

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ClassArchive"]

_QUIET = "-Xlog:cds=off"
"""Java would write to the server's output if an archive does not fit."""


class ClassArchive:
    """The archive of one Java and one class path, in the cache directory of the user."""

    def __init__(self, java: Path, class_path: str, directory: Path | None = None) -> None:
        identity = f"{java.resolve()} {java.stat().st_mtime_ns} {class_path}"
        name = hashlib.sha256(identity.encode()).hexdigest()[:16]
        self.path = (directory or cache_directory() / "classes") / f"{name}.jsa"
        self._unfinished = self.path.with_suffix(".new")
        self._java = java
        # A Java that was cut down to a package comes without the archive of its own classes, on
        # which this one builds.
        own = java.resolve().parent.parent / "lib" / "server" / "classes.jsa"
        self._base = None if own.exists() else self.path.with_suffix(".base")
        self._lock: IO[bytes] | None = None

    def to_map(self) -> list[str]:
        """Options of a JVM that maps the archive; none while there is no archive."""
        if not self.path.exists():
            return []
        both = f"{self.path}" if self._base is None else f"{self._base}{os.pathsep}{self.path}"
        return [f"-XX:SharedArchiveFile={both}", _QUIET]

    def to_write(self) -> list[str]:
        """Options of a JVM that writes the archive when it ends; none if that is not its task.

        One JVM at a time writes: `finish` or `abandon` must follow when it has ended.
        """
        # Without a cache that can be written, servers start more slowly.
        with contextlib.suppress(OSError):
            if not self.path.exists():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._lock = try_lock(self.path.with_suffix(".lock"))
        if self._lock is None:
            return []
        write = [f"-XX:ArchiveClassesAtExit={self._unfinished}", _QUIET]
        if self._base is None:
            return write
        map_base = f"-XX:SharedArchiveFile={self._base}"
        dump = [str(self._java), "-Xshare:dump", "-XX:+UseSerialGC", map_base]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(dump, capture_output=True, timeout=60, check=False)  # noqa: S603 - Java
        return [map_base, *write]

    @property
    def is_written(self) -> bool:
        """Whether a JVM that runs now has the task to write it."""
        return self._lock is not None

    def finish(self) -> None:
        """Keep the archive: its JVM has ended in order."""
        if self._lock is not None:
            # Java may have refused to write one.
            with contextlib.suppress(OSError):
                self._unfinished.replace(self.path)
            self.abandon()

    def abandon(self) -> None:
        """Discard an unfinished archive: its JVM has been killed."""
        if self._lock is not None:
            with contextlib.suppress(OSError):
                self._unfinished.unlink()
            self._lock.close()
            self._lock = None
