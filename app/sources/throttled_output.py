"""Output about repeated problems: one line of each kind per interval, however often they occur."""

from __future__ import annotations

import time

from app.sources.notices import notify

__all__ = ["ThrottledOutput"]

_SECONDS_BETWEEN = 10.0


class ThrottledOutput:
    """Prints lines on stderr; counts a line instead if one of its kind was printed recently."""

    def __init__(self, seconds: float = _SECONDS_BETWEEN) -> None:
        self._seconds = seconds
        self._printed_at: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}

    def notify(self, kind: str, text: str) -> None:
        """Print `text`, unless a line of this kind was printed within the interval."""
        now = time.monotonic()
        if now < self._printed_at.get(kind, now - self._seconds) + self._seconds:
            self._suppressed[kind] = self._suppressed.get(kind, 0) + 1
            return
        self._printed_at[kind] = now
        suppressed = self._suppressed.pop(kind, 0)
        notify(f"{text} ({suppressed} more like it since the last)" if suppressed else text)

    def forget(self, kind: str) -> None:
        """Print the next line of this kind, however soon it comes: its problem was over."""
        self._printed_at.pop(kind, None)
        self._suppressed.pop(kind, None)
