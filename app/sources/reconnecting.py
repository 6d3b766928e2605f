"""Waits before the next connection to a server, by the kind of failure: X's published rules."""

from __future__ import annotations

from app.backoff import Backoff, linear

__all__ = ["ReconnectPolicy"]


class ReconnectPolicy:
    """Waits in seconds: linear for network errors, doubled for HTTP errors and rate limits.

    https://docs.x.com/x-api/fundamentals/handling-disconnections: network errors wait 250 ms more
    each time, up to 16 s; HTTP errors 5 s, doubled up to 320 s; rate limits a minute, doubled.
    """

    def __init__(self, unit: float = 1.0) -> None:
        self.unit = unit
        """Factor of all waits: tests cannot wait for minutes."""
        self._network = Backoff(0.25, longest_seconds=16.0, growth=linear)
        self._http = Backoff(5.0, longest_seconds=320.0)
        self._limited = Backoff(60.0, longest_seconds=900.0)

    def connected(self) -> None:
        """Start again from the shortest waits."""
        for backoff in (self._network, self._http, self._limited):
            backoff.succeeded()

    def network(self) -> float:
        """The wait after a connection that broke or could not be made."""
        return self._network.failed() * self.unit

    def http(self) -> float:
        """The wait after an HTTP status that reports a fault of the server."""
        return self._http.failed() * self.unit

    def limited(self, until_reset: float | None = None) -> float:
        """The wait after too many requests; `until_reset`: seconds that the server announced."""
        seconds = self._limited.failed()
        # A second more: clocks differ, and an early request counts against the next window.
        return seconds * self.unit if until_reset is None else max(until_reset, 0.0) + self.unit
