"""The options that all embedded servers share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["ServerOptions"]


class ServerOptions(TypedDict, total=False):
    """ServerOptions of every server; each may be omitted."""

    data: Path | str | None
    """Directory to keep the data in; None: a temporary one."""
    host: str
    """Address of this machine to listen on, 127.0.0.1 by default."""
    heap: str
    """The largest heap, as Java writes it: 256m, 1g."""
    settings: Mapping[str, Any]
    """Entries of the server's settings file; they override the defaults, None removes an entry."""
    java_options: Sequence[str]
    """ServerOptions of its JVM, after the default ones."""
    timeout: float
    """Seconds that a start may take, 120 by default."""
