"""Prometheus metrics of the writes to Cassandra and of its nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

from app.metrics import SECONDS_BUCKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client import CollectorRegistry

    from app.cassandra.nodes import Nodes

__all__ = ["CassandraMetrics", "show_nodes"]

_BATCH_ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_BATCH_BYTES = tuple(1 << power for power in range(8, 18))


class CassandraMetrics:
    """Metrics of single requests to Cassandra; an Observer of writes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"wordcount_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(f"wordcount_{name}", text, registry=registry, buckets=buckets)

        self.batches = counter("batches", "Batches that Cassandra acknowledged")
        self.bytes = counter("written_bytes", "Bytes of batches written, as Cassandra counts them")
        self.retries = counter("write_retries", "Retried writes to Cassandra")
        self.failures = counter("write_failures", "Writes that failed, by kind of fault", "kind")
        self.waiting = counter(
            "write_waiting_seconds",
            "Time that batches waited for OUTPUT_THROUGHPUT and after faults, summed over batches",
        )
        self.writing = counter(
            "write_seconds", "Time that requests were in flight, summed over requests"
        )
        self.batch_rows = histogram("batch_rows", "Rows of a batch", _BATCH_ROWS)
        self.batch_bytes = histogram("batch_bytes", "Bytes of a batch", _BATCH_BYTES)
        self.batch_seconds = histogram(
            "batch_seconds", "Time until Cassandra acknowledged a batch", SECONDS_BUCKETS
        )

    def acknowledged(self, rows: int, size: int, seconds: float) -> None:
        """Count a batch that Cassandra acknowledged."""
        self.batches.inc()
        self.bytes.inc(size)
        self.batch_rows.observe(rows)
        self.batch_bytes.observe(size)
        self.batch_seconds.observe(seconds)
        self.writing.inc(seconds)

    def failed(self, kind: str, seconds: float) -> None:
        """Count a request that failed."""
        self.failures.labels(kind).inc()
        self.writing.inc(seconds)

    def retried(self) -> None:
        """Count a retried request."""
        self.retries.inc()

    def waited(self, seconds: float) -> None:
        """Count the time that a batch waits."""
        self.waiting.inc(seconds)


def show_nodes(registry: CollectorRegistry, nodes: Nodes) -> None:
    """Add gauges of the state of the nodes to `registry`."""
    states = Gauge(
        "wordcount_cassandra_nodes",
        "Cassandra nodes that the driver connects to, by state",
        ["state"],
        registry=registry,
    )
    states.labels("up").set_function(lambda: nodes.count()[0])
    states.labels("down").set_function(lambda: nodes.count()[1])
    reconnections = Gauge(
        "wordcount_cassandra_reconnections",
        "Times that a Cassandra node came back",
        registry=registry,
    )
    reconnections.set_function(lambda: nodes.reconnections)
