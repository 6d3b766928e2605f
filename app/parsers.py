"""Parsers of the text of a setting.

Each parser returns the value, or raises ValueError. The message of the error completes a sentence
whose subject is the setting.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "FIELDS",
    "ColumnMapping",
    "address",
    "boolean",
    "brokers",
    "choice",
    "columns",
    "consistency",
    "contact_points",
    "duration_ms",
    "identifier",
    "integer",
    "memory",
    "non_empty",
    "origins",
    "positive_duration",
    "readable_file",
    "size",
    "token",
    "topic",
    "ttl",
    "window",
]

FIELDS = ("word", "window_start", "window_end", "count", "updated_at")
"""The fields of a row; WORDCOUNT_COLUMNS maps them to columns."""

ColumnMapping = tuple[tuple[str, str], ...]
"""(field, column) pairs in the order in which they are written."""

_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_CONSISTENCY_LEVELS = (
    "ANY",
    "ONE",
    "TWO",
    "THREE",
    "QUORUM",
    "ALL",
    "LOCAL_QUORUM",
    "EACH_QUORUM",
    "LOCAL_ONE",
)


def duration_ms(text: str) -> int:
    """Milliseconds of `500ms`, `5s`, `10m`, `24h`, `7d`."""
    match = re.fullmatch(r"(\d+)(ms|s|m|h|d)", text)
    if match is None:
        raise ValueError("is not a duration; write it as 500ms, 5s, 10m or 24h")
    return int(match[1]) * _MILLISECONDS[match[2]]


def positive_duration(text: str) -> int:
    """Milliseconds of a duration longer than zero."""
    duration = duration_ms(text)
    if duration == 0:
        raise ValueError("must be longer than zero")
    return duration


def window(text: str) -> int | None:
    """Milliseconds of a window, or None for `none`."""
    return None if text == "none" else positive_duration(text)


def ttl(text: str) -> int | Literal["window"] | None:
    """Milliseconds of a time to live, `window`, or None for `none`."""
    if text == "none":
        return None
    return "window" if text == "window" else positive_duration(text)


def size(text: str) -> int:
    """Bytes of `512`, `64KiB`, `1MiB`, `2GiB`."""
    match = re.fullmatch(r"(\d+)(B|KiB|MiB|GiB)?", text)
    if match is None:
        raise ValueError("is not a size; write it as 64KiB or 1MiB")
    size = int(match[1]) * _BYTES[match[2] or "B"]
    if size == 0:
        raise ValueError("must be more than zero")
    return size


MIN_MEMORY = 512 << 20
"""Minimum memory of a worker in bytes; with less, a worker would only wait."""


def memory(text: str) -> int:
    """Bytes of memory that a worker may use."""
    limit = size(text)
    if limit < MIN_MEMORY:
        raise ValueError("must be at least 512MiB")
    return limit


def integer(low: int, high: int | None = None) -> Callable[[str], int]:
    """A parser of whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        if re.fullmatch(r"\d+", text, re.ASCII) is None:
            raise ValueError("is not a whole number")
        number = int(text)
        if number < low or (high is not None and number > high):
            bound = f"between {low} and {high}" if high is not None else f"at least {low}"
            raise ValueError(f"must be {bound}")
        return number

    return parse


def choice(*choices: str) -> Callable[[str], str]:
    """A parser of one of `choices`."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return text

    return parse


def consistency(text: str) -> str:
    """The name of a consistency level in upper case."""
    return choice(*_CONSISTENCY_LEVELS)(text.upper())


def boolean(text: str) -> bool:
    """Whether the text is `true`; the only other valid text is `false`."""
    return choice("true", "false")(text.lower()) == "true"


def _name(pattern: str, requirement: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(requirement)
        return text

    return parse


topic = _name(
    r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,200}",
    "must be 1 to 200 letters, digits, dots, hyphens or underscores",
)
identifier = _name(
    r"[A-Za-z][A-Za-z0-9_]{0,47}",
    "must start with a letter and hold at most 48 letters, digits and underscores",
)


def non_empty(text: str) -> str:
    """Any text that is not empty."""
    if not text:
        raise ValueError("must not be empty")
    return text


def token(text: str) -> str:
    """A token for the web server: valid as a Bearer token, and too long to guess."""
    if re.fullmatch(r"[A-Za-z0-9._~+/-]{16,1024}=*", text) is None:
        raise ValueError(
            "must be 16 or more letters, digits and ._~+/-; `openssl rand -hex 16` makes one"
        )
    return text


def origins(text: str) -> tuple[str, ...]:
    """Origins (scheme://host:port) as browsers send them."""
    found = tuple(part.strip().lower() for part in text.split(","))
    for origin in found:
        if re.fullmatch(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", origin) is None:
            raise ValueError(f"{origin!r} is not an origin like https://dashboards.example:8443")
    return found


def address(default_port: int) -> Callable[[str], tuple[str, int]]:
    """A parser of host:port; `default_port` applies if the text names no port."""

    def parse(text: str) -> tuple[str, int]:
        match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+)(?::(\d{1,5}))?", text)
        if match is None or not 0 < int(match[2] or default_port) < 65536:
            raise ValueError(f"{text!r} is not host:port")
        return match[1], int(match[2] or default_port)

    return parse


def brokers(text: str) -> tuple[str, ...]:
    """host:port of each Kafka broker."""
    brokers = []
    for part in text.split(";"):
        scheme, separator, rest = part.strip().partition("://")
        if separator and scheme != "kafka":
            raise ValueError(f"{part!r} is not a Kafka broker; write kafka://host:port")
        host, port = address(9092)(rest if separator else scheme)
        brokers.append(f"{host}:{port}")
    return tuple(brokers)


def contact_points(text: str) -> tuple[tuple[str, int], ...]:
    """(host, port) of each Cassandra contact point; all points have the same port."""
    points = tuple(address(9042)(part.strip()) for part in text.split(","))
    if len({port for _, port in points}) > 1:
        raise ValueError("must name one port for all contact points")
    return points


def readable_file(text: str) -> Path:
    """The path of a readable file of UTF-8 text."""
    path = Path(text)
    if not path.is_file() or not os.access(path, os.R_OK):
        raise ValueError(f"{text!r} is not a file that can be read")
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError("is a file that does not hold UTF-8 text") from None
    return path


def columns(text: str) -> ColumnMapping:
    """(field, column) pairs of `field:column,field,…`."""
    mapping = []
    for part in text.split(","):
        field, _, column = part.strip().partition(":")
        if field not in FIELDS:
            raise ValueError(f"names the field {field!r}; there are {', '.join(FIELDS)}")
        try:
            mapping.append((field, identifier(column or field)))
        except ValueError as error:
            raise ValueError(f"names the column {column!r}, which {error}") from None
    for place, kind in enumerate(("field", "column")):
        seen = [pair[place] for pair in mapping]
        twice = next((name for name in seen if seen.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"names the {kind} {twice!r} twice")
    missing = next((field for field in ("word", "count") if field not in dict(mapping)), None)
    if missing is not None:
        raise ValueError(f"lacks the field {missing!r}, which every row needs; add it")
    return tuple(mapping)
