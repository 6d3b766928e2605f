"""How long to wait before a server is asked again, by what went wrong: X's published rules."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Backoff"]


@dataclass
class Backoff:
    """Waits in seconds: at once first, then linear, doubled, or until the server's limit resets.

    https://docs.x.com/x-api/fundamentals/handling-disconnections: network errors wait 250 ms more
    each time, up to 16 s; HTTP errors 5 s, doubled up to 320 s; rate limits a minute, doubled.
    """

    unit: float = 1.0
    """Scales all waits: tests have no minutes."""
    _network: int = 0
    _http: int = 0
    _limited: int = 0

    def connected(self) -> None:
        """What comes next is a first failure again."""
        self._network = self._http = self._limited = 0

    def network(self) -> float:
        """After a connection that broke, or that can't be had."""
        self._network += 1
        return min(0.25 * (self._network - 1), 16.0) * self.unit

    def http(self) -> float:
        """After a status that says the server is unwell."""
        self._http += 1
        return min(5.0 * 2.0 ** (self._http - 1), 320.0) * self.unit

    def limited(self, until_reset: float | None = None) -> float:
        """After too many requests; `until_reset` is what the server says, in seconds from now."""
        self._limited += 1
        longest = min(60.0 * 2.0 ** (self._limited - 1), 900.0)
        # A second more: clocks differ, and an early request counts against the next window.
        return longest * self.unit if until_reset is None else max(until_reset, 0.0) + self.unit
