"""How long to wait before the next try, and how often to speak of it."""

from __future__ import annotations

import random
import time

from app.sources.progress import say

__all__ = ["Backoff"]

_FIRST_SECONDS = 0.1
_LONGEST_SECONDS = 15.0
_SECONDS_BETWEEN_WORDS = 30.0


class Backoff:
    """Waits that double, with jitter, so that many clients don't come back at the same moment."""

    def __init__(self) -> None:
        self._tries = 0
        self._said = 0.0

    def failed(self, what: str) -> float:
        """A try failed: seconds to wait before the next. Says so at first, and now and then."""
        now = time.monotonic()
        if self._tries == 0 or now > self._said + _SECONDS_BETWEEN_WORDS:
            say(f"{what}; trying again")
            self._said = now
        longest = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2 ** min(self._tries, 16))
        self._tries += 1
        return random.uniform(longest / 2, longest)

    def succeeded(self, what: str) -> None:
        """A try did not fail; says so if others did before."""
        if self._tries:
            say(what)
        self._tries = 0
