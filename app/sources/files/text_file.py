"""One file of lines, plain or compressed, read from where it was left."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import time
import zlib
from typing import IO, TYPE_CHECKING, Any, cast

from app.sources.descriptor import CHUNK
from app.sources.files.fingerprint import HEAD, TAIL, Fingerprint
from app.sources.line_splitter import LineCutter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from app.sources.base import Batch

__all__ = ["COMPRESSED", "DAMAGED", "SETTLED_SECONDS", "TextFile"]


def _open_zstandard(path: Path) -> IO[bytes]:
    import pyarrow as pa

    return cast("IO[bytes]", pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))


COMPRESSED: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _open_zstandard,
}
"""Suffixes of files that are decompressed, and how."""

DAMAGED = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)
"""What reading a file may raise, a damaged compressed one too."""

SETTLED_SECONDS = 5.0
"""Nobody writes to a file any more that has not been written to for so long."""


class TextFile:
    """An open file, how far it has been read, and the line that is not yet whole.

    A `state` tells where to go on; `resumed` is whether it was about this file, or an exact copy.
    All methods may block, and raise what is in DAMAGED.
    """

    def __init__(
        self, path: Path, state: Mapping[str, Any] | None = None, chunk: int = CHUNK
    ) -> None:
        self.path = path
        self.chunk = chunk
        """Bytes to read at once."""
        self._compressed = path.suffix in COMPRESSED
        self._cutter = LineCutter()
        self._open()
        self.resumed = state is not None and self._go_on(state)
        if state is not None and not self.resumed:
            self._file.close()
            self._open()

    def _open(self) -> None:
        opener = COMPRESSED.get(self.path.suffix)
        self._file: Any = opener(self.path) if opener else self.path.open("rb", buffering=0)
        found = self.path.stat() if opener else os.fstat(self._file.fileno())
        self.identity = (found.st_dev, found.st_ino)
        self._trail = Fingerprint()
        self.offset = 0
        """Bytes of text that have been read."""

    def _go_on(self, state: Mapping[str, Any]) -> bool:
        """Go to where the state was taken; False if what stands before it is other text."""
        offset = state["offset"]
        self._trail = Fingerprint()
        if not self._pass(min(HEAD, offset)):
            return False
        if not self._compressed and offset > HEAD + TAIL:
            self._file.seek(offset - TAIL)
            self._trail = Fingerprint(self._trail.head)
            self.offset = offset - TAIL
        return self._pass(offset) and self._trail.fingerprint(offset) == state["fingerprint"]

    def _pass(self, offset: int) -> bool:
        """Read up to `offset`; False if the text ends before."""
        while self.offset < offset:
            chunk = self._file.read(min(self.chunk, offset - self.offset))
            if not chunk:
                return False
            self._trail.feed(chunk)
            self.offset += len(chunk)
        return True

    @property
    def raw_offset(self) -> int:
        """How much of the file itself has been read; 0 where that can't be told."""
        if not self._compressed:
            return self.offset
        raw = getattr(self._file, "fileobj", None) or getattr(self._file, "_fp", None)
        return int(raw.tell()) if raw is not None else 0

    @property
    def place(self) -> int:
        """Bytes of text that the batches so far cover: behind a newline or a space."""
        return self.offset - self._cutter.pending

    @property
    def state(self) -> dict[str, Any]:
        """Where to go on, and how to know the file again."""
        device, inode = self.identity
        return {
            "offset": self.place,
            "device": device,
            "inode": inode,
            "fingerprint": self._trail.fingerprint(self.place, self._cutter.pending),
        }

    def changed(self) -> bool:
        """Whether a plain file is shorter than what was read of it, or other text stands there."""
        if self._compressed:
            return False
        descriptor = self._file.fileno()
        size = os.fstat(descriptor).st_size
        tail = self._trail.tail
        return size < self.offset or (
            size > self.offset and os.pread(descriptor, len(tail), self.offset - len(tail)) != tail
        )

    def unfinished(self) -> bool:
        """Whether its last line has no newline and may go on, since it was written a moment ago.

        A compressed file says itself where it ends, and a time ahead of the clock tells nothing.
        """
        if self._compressed or not self._cutter.within_line:
            return False
        written = os.fstat(self._file.fileno()).st_mtime
        return abs(time.time() - written) < SETTLED_SECONDS

    def rewind(self) -> list[Batch]:
        """Go to the beginning of a file that was emptied; the line that had begun before that."""
        batches = self._cutter.finish()
        self._file.seek(0)
        self._trail, self.offset = Fingerprint(), 0
        return batches

    def read(self) -> list[Batch] | None:
        """Read the next chunk; the batches that it completes, None at the end."""
        chunk = self._file.read(self.chunk)
        if not chunk:
            return None
        self.offset += len(chunk)
        batches = self._cutter.feed(chunk)
        self._trail.feed(chunk, self._cutter.pending)
        return batches

    def finish(self) -> list[Batch]:
        """The file is over: its last line, if it has no newline."""
        return self._cutter.finish()

    def close(self) -> None:
        """Close it."""
        self._file.close()
