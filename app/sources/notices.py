"""Notices of a run for its user, on stderr."""

from __future__ import annotations

import sys

__all__ = ["notify"]


def notify(text: str) -> None:
    """Print a line on stderr, above a progress display if there is one."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - for the user of a command
