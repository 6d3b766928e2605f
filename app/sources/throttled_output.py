"""Output about misbehaving peers: each kind at most once in a while, however often it happens."""

from __future__ import annotations

import time

from app.sources.progress import say

__all__ = ["ThrottledOutput"]

_SECONDS_BETWEEN = 10.0


class ThrottledOutput:
    """Says lines on stderr; a line of a kind that was just said is counted instead."""

    def __init__(self, seconds: float = _SECONDS_BETWEEN) -> None:
        self._seconds = seconds
        self._said: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def say(self, kind: str, text: str) -> None:
        """Say `text`, unless another of its kind was said a moment ago."""
        now = time.monotonic()
        if now < self._said.get(kind, now - self._seconds) + self._seconds:
            self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
            return
        self._said[kind] = now
        unsaid = self._unsaid.pop(kind, 0)
        say(f"{text} ({unsaid} more like it since the last)" if unsaid else text)
