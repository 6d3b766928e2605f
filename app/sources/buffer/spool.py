"""Batches on disk, in segments, oldest first: kept until Kafka has them, through any crash.

Records are written without waiting for the disk, which is asked to have them each second and when a
segment is full. So what was written survives the end of the process, by kill -9 too; the last
second of it may not survive a power failure.
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
"""Name of the file beside the slots that says what reads the lines, and for which topic."""

_SEGMENT_BYTES = 16 << 20
_SUFFIX = ".spill"
_PLACE_SUFFIX = ".place"
_SECONDS_BETWEEN_SYNCS = 1.0


class SpoolFullError(Exception):
    """There is no room for more; why is its message."""


class Place(NamedTuple):
    """Behind a record."""

    segment: str
    offset: int


class Spool:
    """First in, first out. Methods may block; one thread at a time.

    Processes with the same directory each have a slot of it, and adopt what those left behind that
    have ended. So they must all have one purpose: to read the same for the same topic.
    """

    def __init__(self, directory: Path, limit: int, purpose: str = "") -> None:
        self.directory = directory
        self._purpose = purpose
        self._limit = limit
        self._segments: list[Segment] = []
        self._writing: Writing | None = None
        self._kept: dict[str, int] = {}
        self._released: dict[str, int] = {}
        self.torn = 0
        """Bytes behind the last whole record of segments: of a crash, or of a bad disk."""
        self._synced = 0.0
        self._lock: IO[bytes] | None = None
        self.gone: list[str] = []
        """Names of segments that were removed, since Kafka has all of them."""
        self.name = ""
        """Unique, and the same whenever the slot is opened."""

    def open(self) -> int:
        """Take a slot and what earlier runs have left; bytes of it. Raises UnavailableError."""
        try:
            self._take_slot()
            for other in locked_dirs.folders(self.directory):
                if other != self._slot:
                    self._adopt(other)
            for path in sorted(self._slot.glob(f"*{_SUFFIX}")):
                self._segments.append(Segment(path, _placed(path)))
                self._kept[path.name] = path.stat().st_size
                self._released[path.name] = _placed(path)
        except OSError as error:
            raise UnavailableError(
                f"lines can't be kept in {self.directory}: {error.strerror}; "
                "name another directory by --spill-dir, or keep none by --spill 0"
            ) from None
        return sum(segment.size - segment.offset for segment in self._segments)

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._slot

    @property
    def unread(self) -> bool:
        """Whether there is more to read."""
        return bool(self._segments)

    def append(self, batches: Sequence[Batch], *, always: bool = False) -> Place:
        """Write batches behind all others; the place behind them. Raises SpoolFullError.

        `always`: past the limit, too.
        """
        size = sum(len(batch.text) for batch in batches)
        if sum(self._kept.values()) + size > self._limit and self._kept and not always:
            raise SpoolFullError(f"{self._limit:,} bytes, as much as it may hold")
        after = max((int(name[:20]) + 1 for name in self._kept), default=0)
        return self._write(batches, _name(max(time.time_ns(), after)))

    def prepend(self, batches: Sequence[Batch]) -> None:
        """Write batches that come before all others, whatever their size. Raises SpoolFullError."""
        self._roll()
        before = min((int(name[:20]) for name in self._kept), default=time.time_ns())
        self._write(batches, _name(before - 1))
        self._roll()
        self._segments.sort(key=lambda segment: segment.path.name)

    def read(self) -> tuple[Batch, Place] | None:
        """The next batch and the place behind it; None if all are read."""
        while self._segments:
            segment = self._segments[0]
            batch = segment.read()
            if batch is not None:
                return batch, Place(segment.path.name, segment.offset)
            if self._writing is not None and self._writing.path == segment.path:
                self._roll()
            else:
                self.torn += segment.size - segment.offset
            del self._segments[0]
            name = segment.path.name
            if self._released.get(name) == self._kept.get(name):
                self._remove(name)
        return None

    def skip(self, place: Place) -> None:
        """What comes before this place in its segment was delivered."""
        for segment in self._segments:
            if segment.path.name == place.segment:
                segment.offset = max(segment.offset, place.offset)
                self._released[place.segment] = segment.offset

    def release(self, place: Place) -> None:
        """Kafka has what comes before this place."""
        gone = [name for name in self._kept if name < place.segment]
        whole = self._kept.get(place.segment) == place.offset
        if whole and not any(s.path.name == place.segment for s in self._segments):
            gone.append(place.segment)
        for name in gone:
            self._remove(name)
        if place.segment in self._kept:
            self._released[place.segment] = place.offset
            self._keep(place)

    def close(self) -> None:
        """Sync what is left and let go of the slot."""
        if self._lock is None:
            return
        self._roll()
        for name in [n for n, size in self._kept.items() if self._released.get(n) == size]:
            self._remove(name)
        self._lock.close()
        self._lock = None

    def _write(self, batches: Sequence[Batch], name: str) -> Place:
        try:
            if self._writing is None:
                self._writing = Writing(self._slot / name)
                self._segments.append(Segment(self._writing.path))
                self._kept[self._writing.path.name] = 0
            writing = self._writing
            writing.append(batches)
            self._kept[writing.path.name] = writing.size
            if time.monotonic() > self._synced + _SECONDS_BETWEEN_SYNCS:
                writing.sync()
                self._synced = time.monotonic()
            if writing.size > _SEGMENT_BYTES:
                self._roll()
            return Place(writing.path.name, writing.size)
        except OSError as error:
            raise SpoolFullError(f"{self._slot}: {error.strerror}") from None

    def _roll(self) -> None:
        """Write to another segment next."""
        writing, self._writing = self._writing, None
        if writing is not None:
            with suppress(OSError):  # what can't be synced is still in the kernel's memory
                writing.sync()
            writing.close()

    def _remove(self, name: str) -> None:
        self.gone.append(name)
        self._kept.pop(name, None)
        self._released.pop(name, None)
        self._segments = [s for s in self._segments if s.path.name != name]
        for path in (self._slot / name, self._slot / (name + _PLACE_SUFFIX)):
            path.unlink(missing_ok=True)

    def _keep(self, place: Place) -> None:
        path = self._slot / (place.segment + _PLACE_SUFFIX)
        new = path.with_suffix(".new")
        with suppress(OSError):  # a full disk: some lines would come twice after a crash
            new.write_text(str(place.offset))
            new.replace(path)

    def _take_slot(self) -> None:
        self._slot, self._lock = locked_dirs.take(self.directory)
        identity = self._slot / "id"
        # Only once: a disk that is full must not keep us from delivering what is on it.
        for path, text in (
            (self.directory / PURPOSE, self._purpose),
            (identity, uuid.uuid4().hex),
        ):
            if not path.exists():
                path.write_text(text)
        self.name = identity.read_text()

    def _adopt(self, other: Path) -> None:
        """Take over what a process has left that is not there any more."""
        lock = locked_dirs.locked(other)
        if lock is None:
            return
        with lock:
            for path in other.glob(f"*{_SUFFIX}"):
                place = path.with_name(path.name + _PLACE_SUFFIX)
                if place.exists():
                    place.replace(self._slot / place.name)
                path.replace(self._slot / path.name)


def undelivered(directory: Path) -> int:
    """Bytes in a spool's directory that no process is there to deliver. Raises OSError."""
    size = 0
    for slot in locked_dirs.folders(directory):
        left = sum(path.stat().st_size - _placed(path) for path in slot.glob(f"*{_SUFFIX}"))
        if left and locked_dirs.free(slot):
            size += left
    return size


def _name(time_ns: int) -> str:
    return f"{time_ns:020d}-{uuid.uuid4().hex[:8]}{_SUFFIX}"


def _placed(segment: Path) -> int:
    try:
        return int((segment.with_name(segment.name + _PLACE_SUFFIX)).read_text())
    except (OSError, ValueError):
        return 0
