"""Batches on disk, in segments, oldest first, until Kafka has them.

A write returns once the kernel has the records: they survive the end of the process, even by
kill -9. At most once a second, and when a segment is full, a write also waits for fsync: a power
failure costs the records behind the last fsync that the kernel had not written back yet.
"""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from typing import IO, TYPE_CHECKING, NamedTuple

from app.errors import UnavailableError
from app.sources.buffer import locked_dirs
from app.sources.buffer.segment import Segment, Writing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from app.sources.base import Batch

__all__ = ["PURPOSE", "Place", "Spool", "SpoolFullError", "undelivered"]

PURPOSE = "purpose"
"""Name of the file beside the folders that holds the spool's purpose."""

_SEGMENT_BYTES = 16 << 20
_SUFFIX = ".spill"
_PLACE_SUFFIX = ".place"
_SECONDS_BETWEEN_SYNCS = 1.0


class SpoolFullError(Exception):
    """There is no space for more batches; the message states the reason."""


class Place(NamedTuple):
    """The place behind a record; places compare in the order of the records."""

    segment: str
    offset: int


class Spool:
    """First in, first out. Methods block; call them from one thread at a time.

    Processes with the same directory each have a folder in it, and adopt the segments that ended
    processes have left. So all of them must have one purpose: the same input for the same topic.
    """

    def __init__(self, directory: Path, limit: int, purpose: str = "") -> None:
        self.directory = directory
        self._purpose = purpose
        self._limit = limit
        self._segments: list[Segment] = []
        self._writing: Writing | None = None
        self._sizes: dict[str, int] = {}
        self._released: dict[str, int] = {}
        self.torn = 0
        """Bytes behind the last whole record of segments, after a crash or on a bad disk."""
        self._synced = 0.0
        self._lock: IO[bytes] | None = None
        self.removed: list[str] = []
        """Names of segments that were removed because Kafka has all of their records."""
        self.name = ""
        """Unique, and the same each time the folder is opened."""

    def open(self) -> int:
        """Lock a folder and adopt the segments of ended runs; return the number of bytes to read.

        Raises UnavailableError.
        """
        try:
            self._take_folder()
            for other in locked_dirs.folders(self.directory):
                if other != self._folder:
                    self._adopt(other)
            for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
                self._segments.append(Segment(path, _placed(path)))
                self._sizes[path.name] = path.stat().st_size
                self._released[path.name] = _placed(path)
        except OSError as error:
            raise UnavailableError(
                f"lines can't be kept in {self.directory}: {error.strerror}; "
                "name another directory with --spill-dir, or keep none with --spill 0"
            ) from None
        return sum(segment.size - segment.offset for segment in self._segments)

    @property
    def path(self) -> Path:
        """The folder of this process."""
        return self._folder

    @property
    def unread(self) -> bool:
        """Whether there is more to read."""
        return bool(self._segments)

    def append(self, batches: Sequence[Batch], *, always: bool = False) -> Place:
        """Write batches behind all others; return the place behind them. Raises SpoolFullError.

        `always`: even beyond the limit.
        """
        size = sum(len(batch.text) for batch in batches)
        if sum(self._sizes.values()) + size > self._limit and self._sizes and not always:
            raise SpoolFullError(f"{self._limit:,} bytes, as much as it may hold")
        # Names begin with a time and sort in the order of the records. A clock that was set back
        # must not put new records before old ones.
        after = max((int(name[:20]) + 1 for name in self._sizes), default=0)
        return self._write(batches, _name(max(time.time_ns(), after)))

    def prepend(self, batches: Sequence[Batch]) -> None:
        """Write batches in front of all others, whatever their size. Raises SpoolFullError."""
        # A segment of their own, whose name sorts before all others; so the open one is closed
        # before, and this one after.
        self._roll()
        before = min((int(name[:20]) for name in self._sizes), default=time.time_ns())
        self._write(batches, _name(before - 1))
        self._roll()
        self._segments.sort(key=lambda segment: segment.path.name)

    def read(self) -> tuple[Batch, Place] | None:
        """Read the next batch and the place behind it; None if all batches were read."""
        while self._segments:
            segment = self._segments[0]
            batch = segment.read()
            if batch is not None:
                return batch, Place(segment.path.name, segment.offset)
            # The end of the segment that is written is reached: close it, so that it can be removed
            # as a whole. In any other segment the rest is damaged.
            if self._writing is not None and self._writing.path == segment.path:
                self._roll()
            else:
                self.torn += segment.size - segment.offset
            del self._segments[0]
            name = segment.path.name
            if self._released.get(name) == self._sizes.get(name):
                self._remove(name)
        return None

    def skip(self, place: Place) -> None:
        """Skip the records before this place in its segment: Kafka has them."""
        for segment in self._segments:
            if segment.path.name == place.segment:
                segment.offset = max(segment.offset, place.offset)
                self._released[place.segment] = segment.offset

    def release(self, place: Place) -> None:
        """Remove the batches before this place: Kafka has them."""
        # Kafka has every segment before this one. It has this one too if the place is its end, and
        # no batch is still to be read from it or written to it.
        gone = [name for name in self._sizes if name < place.segment]
        whole = self._sizes.get(place.segment) == place.offset
        if whole and not any(s.path.name == place.segment for s in self._segments):
            gone.append(place.segment)
        for name in gone:
            self._remove(name)
        if place.segment in self._sizes:
            self._released[place.segment] = place.offset
            self._store_place(place)

    def close(self) -> None:
        """Sync the segment and release the folder."""
        if self._lock is None:
            return
        self._roll()
        for name in [n for n, size in self._sizes.items() if self._released.get(n) == size]:
            self._remove(name)
        self._lock.close()
        self._lock = None

    def _write(self, batches: Sequence[Batch], name: str) -> Place:
        try:
            if self._writing is None:
                self._writing = Writing(self._folder / name)
                self._segments.append(Segment(self._writing.path))
                self._sizes[self._writing.path.name] = 0
            writing = self._writing
            writing.append(batches)
            self._sizes[writing.path.name] = writing.size
            if time.monotonic() > self._synced + _SECONDS_BETWEEN_SYNCS:
                writing.sync()
                self._synced = time.monotonic()
            if writing.size > _SEGMENT_BYTES:
                self._roll()
            return Place(writing.path.name, writing.size)
        except OSError as error:
            raise SpoolFullError(f"{self._folder}: {error.strerror}") from None

    def _roll(self) -> None:
        """Close the segment that is written; the next write opens another one."""
        writing, self._writing = self._writing, None
        if writing is not None:
            with suppress(OSError):  # the kernel has the records all the same
                writing.sync()
            writing.close()

    def _remove(self, name: str) -> None:
        self.removed.append(name)
        self._sizes.pop(name, None)
        self._released.pop(name, None)
        self._segments = [s for s in self._segments if s.path.name != name]
        for path in (self._folder / name, self._folder / (name + _PLACE_SUFFIX)):
            path.unlink(missing_ok=True)

    def _store_place(self, place: Place) -> None:
        path = self._folder / (place.segment + _PLACE_SUFFIX)
        new = path.with_suffix(".new")
        with suppress(OSError):  # on a full disk: after a crash some lines come twice
            new.write_text(str(place.offset))
            new.replace(path)

    def _take_folder(self) -> None:
        self._folder, self._lock = locked_dirs.take(self.directory)
        identity = self._folder / "id"
        # Write them only once: a full disk must not prevent the delivery of the lines on it.
        for path, text in (
            (self.directory / PURPOSE, self._purpose),
            (identity, uuid.uuid4().hex),
        ):
            if not path.exists():
                path.write_text(text)
        self.name = identity.read_text()

    def _adopt(self, other: Path) -> None:
        """Move the segments of an ended process into this folder."""
        lock = locked_dirs.locked(other)
        if lock is None:
            return
        with lock:
            for path in other.glob(f"*{_SUFFIX}"):
                place = path.with_name(path.name + _PLACE_SUFFIX)
                # The place moves first: a segment that is here without it would be delivered from
                # its start.
                if place.exists():
                    place.replace(self._folder / place.name)
                path.replace(self._folder / path.name)


def undelivered(directory: Path) -> int:
    """Count the bytes in a spool's directory that no running process delivers. Raises OSError."""
    size = 0
    for folder in locked_dirs.folders(directory):
        left = sum(path.stat().st_size - _placed(path) for path in folder.glob(f"*{_SUFFIX}"))
        if left and locked_dirs.free(folder):
            size += left
    return size


def _name(time_ns: int) -> str:
    return f"{time_ns:020d}-{uuid.uuid4().hex[:8]}{_SUFFIX}"


def _placed(segment: Path) -> int:
    try:
        return int((segment.with_name(segment.name + _PLACE_SUFFIX)).read_text())
    except (OSError, ValueError):
        return 0
