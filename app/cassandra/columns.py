"""Encodes the value of a field as the bytes of a column, by the type of the column; pure."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from app.times import YEAR_1_MS, YEAR_10000_MS, iso

__all__ = ["ACCEPTED", "CodecError", "codec", "key_part"]

Codec = Callable[[Any], bytes]

DAY_MS = 86_400_000
_EPOCH_DAY = 1 << 31  # CQL dates count days from -5877641-06-23


class CodecError(ValueError):
    """A value does not fit its column; the message gives the reason."""


def _text(word: str) -> bytes:
    try:
        return word.encode()
    except UnicodeEncodeError:
        raise CodecError("is not Unicode text") from None


def _whole_number(code: str, cql_type: str) -> Codec:
    pack = struct.Struct(code).pack

    def encode(number: int) -> bytes:
        try:
            return pack(number)
        except struct.error:
            raise CodecError(f"does not fit {cql_type}") from None

    return encode


# CQL's varint is two's complement, in enough bytes for the number and a bit for the sign. Its
# decimal is a scale of four bytes, 0 for whole numbers, and a varint.
def _varint(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)


def _decimal(number: int) -> bytes:
    return b"\0\0\0\0" + _varint(number)


_pack_long = struct.Struct(">q").pack
_pack_date = struct.Struct(">I").pack


def _date(moment_ms: int) -> bytes:
    try:
        return _pack_date(moment_ms // DAY_MS + _EPOCH_DAY)
    except struct.error:
        raise CodecError("does not fit date") from None


def _iso_8601(moment_ms: int) -> bytes:
    # Other years need a sign and six digits, and would sort wrongly as text.
    if not YEAR_1_MS <= moment_ms < YEAR_10000_MS:
        raise CodecError("has no ISO 8601 form: it lies outside the years 1 to 9999")
    return iso(moment_ms, with_ms=True).encode()


_COUNTS: dict[str, Codec] = {
    "tinyint": _whole_number(">b", "tinyint"),
    "smallint": _whole_number(">h", "smallint"),
    "int": _whole_number(">i", "int"),
    "bigint": _whole_number(">q", "bigint"),
    "varint": _varint,
    "decimal": _decimal,
}
_TIMES: dict[str, Codec] = {
    "timestamp": _whole_number(">q", "timestamp"),
    "bigint": _whole_number(">q", "bigint"),
    "date": _date,
    "text": _iso_8601,
    "varchar": _iso_8601,
}
# A codec is chosen once for each column, when the writer is created. A row then costs one call for
# each column, without a look at types.
_CODECS: dict[str, dict[str, Codec]] = {
    "word": {"text": _text, "varchar": _text},
    "count": _COUNTS,
    "window_start": _TIMES,
    "window_end": _TIMES,
    "updated_at": _TIMES,
}

ACCEPTED = {field: tuple(t for t in codecs if t != "varchar") for field, codecs in _CODECS.items()}
"""The column types that can hold each field."""


def codec(field: str, cql_type: str) -> Codec | None:
    """The encoder of values of `field` as `cql_type`; None if the type can't hold them.

    Words are str, counts int, times int in ms since 1970 (UTC). A timestamp or bigint column
    holds a time as it is, date its day, text `2026-01-31T12:00:00.000Z`. The encoder raises
    CodecError for a value that does not fit; it never truncates or wraps one. An ascii column is
    not accepted for words: the first word beyond ASCII would stop a worker after days.
    """
    return _CODECS[field].get(cql_type)


def key_part(value: bytes) -> bytes:
    """One component of a composite partition key, in the form that tokens are computed from."""
    return len(value).to_bytes(2, "big") + value + b"\0"
