"""An observer of writes to Cassandra that records the events, for tests and benchmarks."""

from __future__ import annotations

from collections import Counter

__all__ = ["WriteEvents"]


class WriteEvents:
    """Counts the requests of all writes of one writer, by their outcome."""

    def __init__(self) -> None:
        self.batches = 0
        self.bytes = 0
        self.retries = 0
        self.failures: Counter[str] = Counter()
        self.waited_seconds = 0.0

    def acknowledged(self, rows: int, size: int, seconds: float) -> None:
        """Count a batch that Cassandra acknowledged."""
        self.batches += 1
        self.bytes += size

    def failed(self, kind: str, seconds: float) -> None:
        """Count a request that failed, by its kind of fault."""
        self.failures[kind] += 1

    def retried(self) -> None:
        """Count a retried request."""
        self.retries += 1

    def waited(self, seconds: float) -> None:
        """Add the time that a batch waits."""
        self.waited_seconds += seconds
