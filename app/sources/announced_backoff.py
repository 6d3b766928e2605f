"""Waits between attempts, with notices of the failures for the user of a run."""

from __future__ import annotations

from app.backoff import Backoff
from app.sources.notices import notify
from app.sources.throttled_output import ThrottledOutput

__all__ = ["AnnouncedBackoff"]

_KIND = "retry"


class AnnouncedBackoff:
    """A doubling backoff that prints the first failure, then one every half minute, and the end."""

    def __init__(self) -> None:
        self._backoff = Backoff(first_seconds=0.1, longest_seconds=15.0, jitter=0.5)
        self._output = ThrottledOutput(seconds=30.0)

    def failed(self, problem: str) -> float:
        """Count a failure and print `problem`; return the seconds to wait."""
        self._output.notify(_KIND, f"{problem}; retrying")
        return self._backoff.failed()

    def succeeded(self, message: str) -> None:
        """Print `message` if attempts had failed before this one."""
        if self._backoff.failures:
            self._output.forget(_KIND)
            notify(message)
        self._backoff.succeeded()
