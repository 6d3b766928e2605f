"""A file of batches: records with lengths and checksums, which reveal a torn end."""

from __future__ import annotations

import json
import os
import struct
import zlib
from typing import TYPE_CHECKING

from app.sources.base import Batch

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Segment", "Writing"]

# CRC-32 of the rest; bytes of text and of headers; lines; refused words; event time (ms; -1: none).
_RECORD = struct.Struct("<IIIIIq")
_CRC = struct.Struct("<I")


class Segment:
    """A segment to read, beginning at `offset`."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.offset = offset
        """The place behind the last record that was read."""

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return self.path.stat().st_size

    def read(self) -> Batch | None:
        """Read the next record; None behind the last whole one."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            head = file.read(_RECORD.size)
            if len(head) < _RECORD.size:
                return None
            crc, text_size, headers_size, lines, refused, timestamp = _RECORD.unpack(head)
            body = file.read(text_size + headers_size)
        if len(body) < text_size + headers_size or crc != zlib.crc32(body, _head_crc(head)):
            return None
        self.offset += len(head) + len(body)
        pairs = json.loads(body[text_size:]) if headers_size else ()
        headers = tuple((name, value.encode("latin-1")) for name, value in pairs)
        event_time = None if timestamp < 0 else timestamp
        return Batch(body[:text_size], lines, event_time, None, refused, headers)


class Writing:
    """A new segment to write. All methods may raise OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def append(self, batches: Iterable[Batch]) -> None:
        """Write records: all of them, or none if there is no space for all."""
        data = b"".join(_record(batch) for batch in batches)
        view, written = memoryview(data), 0
        try:
            # Write at the known size, and cut the file back after an error: a torn record would
            # hide the whole ones behind it.
            while written < len(data):
                written += os.pwrite(self._descriptor, view[written:], self.size + written)
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(data)

    def sync(self) -> None:
        """Wait until the disk has the file."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def _record(batch: Batch) -> bytes:
    pairs = [(name, value.decode("latin-1")) for name, value in batch.headers]
    headers = json.dumps(pairs).encode() if pairs else b""
    timestamp = -1 if batch.timestamp_ms is None else batch.timestamp_ms
    rest = (len(batch.text), len(headers), batch.lines, batch.refused, timestamp)
    head = _RECORD.pack(0, *rest)
    crc = zlib.crc32(headers, zlib.crc32(batch.text, _head_crc(head)))
    return _CRC.pack(crc) + head[_CRC.size :] + batch.text + headers


def _head_crc(head: bytes) -> int:
    return zlib.crc32(head[_CRC.size :])
