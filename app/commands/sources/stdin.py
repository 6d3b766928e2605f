"""`faust -A app produce stdin`: standard input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.commands import producing

if TYPE_CHECKING:
    from app.sources.base import Source

__all__ = ["stdin"]


@producing.source
@producing.kept()
def stdin() -> Source:
    """Send the lines of standard input: of a pipe, a file or a terminal (Ctrl-D ends it)."""
    from app.sources.stdin import StdinSource

    return StdinSource()
