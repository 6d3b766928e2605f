"""What every embedded server can be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["Options"]


class Options(TypedDict, total=False):
    """What every server can be told; all of it may be left out."""

    data: Path | str | None
    """Directory to keep the data in; None: a temporary one."""
    host: str
    """Address of this machine to listen on, 127.0.0.1 by default."""
    heap: str
    """The largest heap, as Java writes it: 256m, 1g."""
    settings: Mapping[str, Any]
    """Of the server's own settings file, over the ones made here; None takes one of them away."""
    java_options: Sequence[str]
    """For its JVM, after the ones made here."""
    timeout: float
    """Seconds that a start may take, 120 by default."""
