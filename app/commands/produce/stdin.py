"""`faust -A app produce stdin`: standard input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.commands.produce import _common as common

if TYPE_CHECKING:
    from app.sources.base import Source

__all__ = ["stdin"]


@common.source
@common.buffered()
def stdin() -> Source:
    """Send the lines of standard input: of a pipe, a file or a terminal (Ctrl-D ends it)."""
    from app.sources.stdin import StdinSource

    return StdinSource()
