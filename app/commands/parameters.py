"""Types of options: a moment, a size."""

from __future__ import annotations

from typing import Any

import click

from app import parsers
from app.times import parse_time

__all__ = ["EventTime", "Size"]


class EventTime(click.ParamType):
    """Milliseconds since 1970, or a date and time as ISO 8601 (UTC where it names no zone)."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Milliseconds since 1970."""
        try:
            milliseconds = value if isinstance(value, int) else parse_time(value)
        except ValueError:
            milliseconds = -1
        if milliseconds < 0:
            self.fail(f"{value!r} is neither ms since 1970 nor a time like 2025-03-01T12:00:00Z")
        return milliseconds


class Size(click.ParamType):
    """Bytes, as settings have them: 64KiB, 1MiB, 2GiB, or 0."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes."""
        try:
            return value if isinstance(value, int) else 0 if value == "0" else parsers.size(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}")
