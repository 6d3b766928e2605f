"""Rows of the table as bytes.

    window start, word   → count, version        (16 bytes)
    window start         → words, distinct words, version: the window's own row   (24 bytes)
    "flushed"            → version up to which all rows are in Cassandra           (8 bytes)
    "sources"            → JSON: watermark of each source partition
    "expired"            → start below which windows are gone, in ms                (8 bytes)

A window's start takes 8 bytes (`counting.windows`), so every key of a window is longer than the
last three keys. A version is the time (µs) of the checkpoint that changed the row. It grows with
every checkpoint of the partition, even where clocks differ. It orders writes to Cassandra, too.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "EXPIRED",
    "FLUSHED",
    "PREFIX_BYTES",
    "WATERMARKS",
    "Put",
    "WindowTotals",
    "decode_counts",
    "decode_number",
    "decode_row",
    "decode_totals",
    "encode_number",
    "encode_rows",
    "encode_totals",
]

EXPIRED = b"expired"
FLUSHED = b"flushed"
WATERMARKS = b"sources"
PREFIX_BYTES = 8

_ROW = struct.Struct("<qq")
_TOTALS = struct.Struct("<qqq")
_NUMBER = struct.Struct("<q")
_NO_ROW = bytes(_ROW.size)

Put = tuple[bytes, bytes | None]
"""A key and its value; None deletes it."""


class WindowTotals(NamedTuple):
    """Totals of a window: words counted, distinct words, and the version that changed it last."""

    words: int
    distinct: int
    version: int


def encode_rows(counts: np.ndarray[Any, Any], version: int) -> list[bytes]:
    """Row values of `counts`, all of one version."""
    # One array holds all rows one after the other; cutting its bytes costs less than packing each.
    rows = np.empty((len(counts), 2), "<i8")
    rows[:, 0] = counts
    rows[:, 1] = version
    packed = rows.tobytes()
    return [packed[place : place + _ROW.size] for place in range(0, len(packed), _ROW.size)]


def decode_counts(rows: Sequence[bytes | None]) -> np.ndarray[Any, Any]:
    """Counts of row values; 0 where there is no row."""
    packed = b"".join([_NO_ROW if row is None else row for row in rows])
    # Each row is two numbers, the count first.
    return np.frombuffer(packed, "<i8")[::2]


def decode_row(row: bytes) -> tuple[int, int]:
    """Count and version of a row value."""
    count, version = _ROW.unpack(row)
    return count, version


def encode_totals(totals: WindowTotals) -> bytes:
    """A window's own row."""
    return _TOTALS.pack(*totals)


def decode_totals(row: bytes) -> WindowTotals:
    """Totals in a window's own row."""
    return WindowTotals(*_TOTALS.unpack(row))


def encode_number(number: int) -> bytes:
    """A version or a time alone."""
    return _NUMBER.pack(number)


def decode_number(row: bytes | None, default: int = 0) -> int:
    """A version or a time alone; `default` where there is none."""
    return default if row is None else int(_NUMBER.unpack(row)[0])
