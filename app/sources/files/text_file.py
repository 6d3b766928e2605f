"""One file of lines, plain or compressed, that can be read on from a saved state."""

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
"""The functions that open compressed files, by suffix."""

DAMAGED = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)
"""The exceptions of reading a file, damaged compressed files included."""

SETTLED_SECONDS = 5.0
"""A file counts as complete when nothing was written to it for so long."""


class TextFile:
    """An open file, the offset of the reader, and the line that is not complete yet.

    A `state` of an earlier run says where to resume. `resumed` is False if the state belongs to
    another text; the file is then read from its beginning. All methods may block, and raise the
    exceptions in DAMAGED.
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
        self.resumed = state is not None and self._seek_to(state)
        if state is not None and not self.resumed:
            self._file.close()
            self._open()

    def _open(self) -> None:
        opener = COMPRESSED.get(self.path.suffix)
        self._file: Any = opener(self.path) if opener else self.path.open("rb", buffering=0)
        found = self.path.stat() if opener else os.fstat(self._file.fileno())
        self.identity = (found.st_dev, found.st_ino)
        self._fingerprint = Fingerprint()
        self.offset = 0
        """Bytes of text that have been read."""

    def _seek_to(self, state: Mapping[str, Any]) -> bool:
        """Move to the offset of the state; return False if another text stands before it.

        A plain file is read at its head and right before the offset, not in between. A compressed
        file has no offsets to jump to, so all of it is read up to there.
        """
        offset = state["offset"]
        self._fingerprint = Fingerprint()
        if not self._pass(min(HEAD, offset)):
            return False
        if not self._compressed and offset > HEAD + TAIL:
            self._file.seek(offset - TAIL)
            self._fingerprint = Fingerprint(self._fingerprint.head)
            self.offset = offset - TAIL
        return self._pass(offset) and self._fingerprint.digest(offset) == state["fingerprint"]

    def _pass(self, offset: int) -> bool:
        """Read up to `offset`; return False if the text ends before it."""
        while self.offset < offset:
            chunk = self._file.read(min(self.chunk, offset - self.offset))
            if not chunk:
                return False
            self._fingerprint.feed(chunk)
            self.offset += len(chunk)
        return True

    @property
    def raw_offset(self) -> int:
        """Bytes of the file itself, compressed or not, that were read; 0 if unknown."""
        if not self._compressed:
            return self.offset
        raw = getattr(self._file, "fileobj", None) or getattr(self._file, "_fp", None)
        return int(raw.tell()) if raw is not None else 0

    @property
    def resume_offset(self) -> int:
        """Bytes of text that the batches so far cover; they end behind a newline or a space."""
        return self.offset - self._cutter.pending

    @property
    def state(self) -> dict[str, Any]:
        """The offset to resume at, and the marks by which a later run recognises the file."""
        device, inode = self.identity
        return {
            "offset": self.resume_offset,
            "device": device,
            "inode": inode,
            "fingerprint": self._fingerprint.digest(self.resume_offset, self._cutter.pending),
        }

    def changed(self) -> bool:
        """Whether a plain file is shorter than `offset`, or has other text right before it."""
        if self._compressed:
            return False
        descriptor = self._file.fileno()
        size = os.fstat(descriptor).st_size
        tail = self._fingerprint.tail
        return size < self.offset or (
            size > self.offset and os.pread(descriptor, len(tail), self.offset - len(tail)) != tail
        )

    def unfinished(self) -> bool:
        """Whether the last line has no newline, and may grow since it was written a moment ago.

        The format of a compressed file marks its end. A modification time far ahead of the clock
        is ignored.
        """
        if self._compressed or not self._cutter.within_line:
            return False
        written = os.fstat(self._file.fileno()).st_mtime
        return abs(time.time() - written) < SETTLED_SECONDS

    def rewind(self) -> list[Batch]:
        """Go to the beginning of an emptied file; return the line that had begun before."""
        batches = self._cutter.finish()
        self._file.seek(0)
        self._fingerprint, self.offset = Fingerprint(), 0
        return batches

    def read(self) -> list[Batch] | None:
        """Read the next chunk; return the batches that it completes, None at the end."""
        chunk = self._file.read(self.chunk)
        if not chunk:
            return None
        self.offset += len(chunk)
        batches = self._cutter.feed(chunk)
        self._fingerprint.feed(chunk, self._cutter.pending)
        return batches

    def finish(self) -> list[Batch]:
        """Return the last line if it has no newline: the file has ended."""
        return self._cutter.finish()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
