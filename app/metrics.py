"""What the worker measures, as Prometheus metrics in a registry of its own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import TopicPartition

    from app.cassandra.nodes import Nodes
    from app.cassandra.results import WriteResult

__all__ = ["CassandraMetrics", "Metrics", "Tally", "count_lines", "total"]

logger = logging.getLogger(__name__)

# Else each counter and histogram has a series more, of when it was made.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the client has no types

_NEWLINE = ord("\n")

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_BATCH_ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_BATCH_BYTES = tuple(1 << power for power in range(8, 18))


class Tally(NamedTuple):
    """What `split` did: blocks, lines, messages and words counted; messages late or rejected."""

    blocks: int
    lines: int
    messages: int
    words: int
    late: int
    rejected: int


class Metrics:
    """Counters, gauges and histograms of one worker."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        def counter(name: str, text: str) -> Counter:
            return Counter(f"wordcount_{name}", text, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"wordcount_{name}", text, registry=registry)

        def histogram(name: str, text: str) -> Histogram:
            return Histogram(f"wordcount_{name}", text, registry=registry, buckets=_SECONDS)

        self.blocks = Counter(
            "wordcount_blocks",
            "Blocks that a stage has worked on: what one fetch brought of one partition",
            ["stage"],
            registry=registry,
        )
        self.lines = counter("lines", "Lines split into words")
        self.messages = counter("messages", "Messages of lines split into words")
        self.words = counter("words", "Words counted, once in each window that they belong to")
        self.late = counter("late_messages", "Messages that came too late for their windows")
        self.rejected = counter("rejected_messages", "Messages that are not UTF-8")
        self.lost_records = counter(
            "lost_records", "Offsets of lines that Kafka deleted before they were counted"
        )
        self.expired_words = counter(
            "expired_words", "Words whose window was past retention: not counted"
        )
        self.rows_changed = counter("rows_changed", "Rows of the table changed by checkpoints")
        self.rows_flushed = counter("rows_flushed", "Rows that Cassandra acknowledged")
        self.rows_unwritten = counter("rows_unwritten", "Rows that Cassandra did not take yet")
        self.rows_refused = counter(
            "rows_refused", "Rows that can't be written: their word or count does not fit a column"
        )
        self.checkpoint_seconds = histogram("checkpoint_seconds", "Time a checkpoint took")
        self.flush_seconds = histogram("flush_seconds", "Time a flush took")
        self.top_rows_flushed = counter(
            "top_rows_flushed", "Ranks of top words that Cassandra acknowledged"
        )
        self.rows_superseded = counter(
            "rows_superseded", "Rows left out of a flush since it had a newer count of them"
        )
        self.rows_existing = counter(
            "rows_existing", "Rows not written since they were there (OUTPUT_IF_NOT_EXISTS)"
        )
        self.cassandra = CassandraMetrics(registry)
        self._last_flush = gauge(
            "last_flush_timestamp_seconds", "When Cassandra had taken all that was to be flushed"
        )

    def split(self, tally: Tally) -> None:
        """Count what the agent `split` has committed."""
        self.blocks.labels("split").inc(tally.blocks)
        self.lines.inc(tally.lines)
        self.messages.inc(tally.messages)
        self.words.inc(tally.words)
        self.late.inc(tally.late)
        self.rejected.inc(tally.rejected)

    def lost(self, source: TopicPartition, first: int, end: int) -> None:
        """Say and count that offsets of lines from `first` up to and without `end` are gone."""
        self.lost_records.inc(end - first)
        logger.error(
            "%s[%d]: offsets %d to %d are gone before they were counted; "
            "give the topic a longer retention",
            source.topic,
            source.partition,
            first,
            end - 1,
        )

    def gathered(self, blocks: int) -> None:
        """Count blocks of partial counts that the agent `count` has taken in."""
        self.blocks.labels("count").inc(blocks)

    def checkpointed(self, rows: int, refused_words: int) -> None:
        """Count what a checkpoint has changed, and the words that came after their retention."""
        self.rows_changed.inc(rows)
        if refused_words:
            self.expired_words.inc(refused_words)
            logger.warning(
                "%d words came for windows past WORDCOUNT_RETENTION and are not counted",
                refused_words,
            )

    def flushed(self, result: WriteResult, *, complete: bool) -> None:
        """Count what a flush did; `complete`: it left nothing unwritten."""
        self.rows_flushed.inc(result.rows)
        self.rows_unwritten.inc(len(result.unwritten))
        self.rows_superseded.inc(result.superseded)
        self.rows_existing.inc(result.existing)
        if complete:
            self._last_flush.set_to_current_time()

    def top_flushed(self, result: WriteResult) -> None:
        """Count the ranks that a flush brought to the table of top words."""
        self.top_rows_flushed.inc(result.rows)

    def last_flush_seconds(self) -> float:
        """When Cassandra had last taken all that was to be flushed (Unix time); 0: not yet."""
        return _value(self._last_flush)


class CassandraMetrics:
    """What goes to Cassandra, request by request, as it happens; an Observer of writes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"wordcount_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(f"wordcount_{name}", text, registry=registry, buckets=buckets)

        self.batches = counter("batches", "Batches written to Cassandra")
        self.bytes = counter("written_bytes", "Bytes of batches written, as Cassandra counts them")
        self.retries = counter("write_retries", "Writes to Cassandra tried again")
        self.failures = counter("write_failures", "Writes that failed, by kind of fault", "kind")
        self.waiting = counter(
            "write_waiting_seconds",
            "Time that batches waited for OUTPUT_THROUGHPUT and after faults, summed over batches",
        )
        self.writing = counter(
            "write_seconds", "Time that requests were under way, summed over requests"
        )
        self.batch_rows = histogram("batch_rows", "Rows of a batch", _BATCH_ROWS)
        self.batch_bytes = histogram("batch_bytes", "Bytes of a batch", _BATCH_BYTES)
        self.batch_seconds = histogram("batch_seconds", "Time until a batch was taken", _SECONDS)
        self._nodes = Gauge(
            "wordcount_cassandra_nodes",
            "Nodes that the driver connects to",
            ["state"],
            registry=registry,
        )
        self._reconnections = Gauge(
            "wordcount_cassandra_reconnections",
            "Times that a node came back",
            registry=registry,
        )

    def watch(self, nodes: Nodes) -> None:
        """Show the state of the nodes."""
        self._nodes.labels("up").set_function(lambda: nodes.count()[0])
        self._nodes.labels("down").set_function(lambda: nodes.count()[1])
        self._reconnections.set_function(lambda: nodes.reconnections)

    def acknowledged(self, rows: int, size: int, seconds: float) -> None:
        """Count a batch that Cassandra has taken."""
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
        """Count a request that is sent again."""
        self.retries.inc()

    def waited(self, seconds: float) -> None:
        """Count the time that a batch waits."""
        self.waiting.inc(seconds)


def total(counter: Counter) -> int:
    """What a counter without labels has counted so far."""
    return int(_value(counter, "_total"))


def _value(metric: Counter | Gauge, suffix: str = "") -> float:
    return next(
        sample.value
        for family in metric.collect()
        for sample in family.samples
        if sample.name == family.name + suffix
    )


def count_lines(values: Sequence[bytes]) -> int:
    """Lines in messages: a newline at a message's end ends a line, it does not begin one."""
    if not values:
        return 0
    # Searching for b"\n\n" takes ten times as long.
    newlines = np.frombuffer(b"\n".join(values), np.uint8) == _NEWLINE
    lines = int(np.count_nonzero(newlines)) + 1
    if newlines[-1:].any() or (newlines[1:] & newlines[:-1]).any():
        lines -= sum(value.endswith(b"\n") for value in values)
    return lines
