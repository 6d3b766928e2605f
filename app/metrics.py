"""Prometheus metrics of a worker, in a registry of their own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import TopicPartition


__all__ = ["SECONDS_BUCKETS", "Metrics", "Tally", "count_lines", "total"]

logger = logging.getLogger(__name__)

# Otherwise each counter and histogram has another series: the time of its creation.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the client has no types

_NEWLINE = ord("\n")

SECONDS_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Tally(NamedTuple):
    """The work of one transaction of `split`: counted items, and late and rejected messages."""

    blocks: int
    lines: int
    messages: int
    words: int
    late: int
    rejected: int


class FlushedRows(Protocol):
    """The part of a write's result that is counted."""

    @property
    def rows(self) -> int:
        """Number of rows that were acknowledged."""

    @property
    def unwritten(self) -> Sequence[Any]:
        """The rows that were not acknowledged."""

    @property
    def superseded(self) -> int:
        """Number of rows skipped for a newer count of the same row."""

    @property
    def existing(self) -> int:
        """Number of rows that existed already."""


class Metrics:
    """Counters, gauges and histograms of one worker."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        def counter(name: str, text: str) -> Counter:
            return Counter(f"wordcount_{name}", text, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"wordcount_{name}", text, registry=registry)

        def histogram(name: str, text: str) -> Histogram:
            return Histogram(f"wordcount_{name}", text, registry=registry, buckets=SECONDS_BUCKETS)

        self.blocks = Counter(
            "wordcount_blocks",
            "Blocks that a stage processed; a block is the records of one fetch of a partition",
            ["stage"],
            registry=registry,
        )
        self.lines = counter("lines", "Lines split into words")
        self.messages = counter("messages", "Messages of lines split into words")
        self.words = counter("words", "Words counted, once in each of their windows")
        self.late = counter("late_messages", "Messages too late for their windows")
        self.rejected = counter("rejected_messages", "Messages that are not UTF-8")
        self.lost_records = counter(
            "lost_records", "Offsets of lines that Kafka deleted before they were counted"
        )
        self.expired_words = counter(
            "expired_words",
            "Words not counted: their window was past WORDCOUNT_RETENTION",
        )
        self.rows_changed = counter("rows_changed", "Rows of the table changed by checkpoints")
        self.rows_flushed = counter("rows_flushed", "Rows that Cassandra acknowledged")
        self.rows_unwritten = counter(
            "rows_unwritten", "Rows that a flush left unwritten; the next flush retries them"
        )
        self.rows_refused = counter(
            "rows_refused", "Rows that can't be written: their word or count does not fit a column"
        )
        self.checkpoint_seconds = histogram("checkpoint_seconds", "Duration of a checkpoint")
        self.flush_seconds = histogram("flush_seconds", "Duration of a flush")
        self.top_rows_flushed = counter(
            "top_rows_flushed", "Ranks of top words that Cassandra acknowledged"
        )
        self.rows_superseded = counter(
            "rows_superseded",
            "Rows that a flush skipped for a newer count of the same row",
        )
        self.rows_existing = counter(
            "rows_existing", "Rows not written since they existed already (OUTPUT_IF_NOT_EXISTS)"
        )
        self._last_flush = gauge(
            "last_flush_timestamp_seconds", "Time of the last flush that left no row unwritten"
        )

    def split(self, tally: Tally) -> None:
        """Count the work that the agent `split` committed."""
        self.blocks.labels("split").inc(tally.blocks)
        self.lines.inc(tally.lines)
        self.messages.inc(tally.messages)
        self.words.inc(tally.words)
        self.late.inc(tally.late)
        self.rejected.inc(tally.rejected)

    def lost(self, source: TopicPartition, first: int, end: int) -> None:
        """Count and log that Kafka deleted uncounted lines at the offsets `first` to `end - 1`."""
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
        """Count blocks of partial counts that the agent `count` processed."""
        self.blocks.labels("count").inc(blocks)

    def checkpointed(self, rows: int, refused_words: int) -> None:
        """Count the changed rows of a checkpoint, and the words of windows past retention."""
        self.rows_changed.inc(rows)
        if refused_words:
            self.expired_words.inc(refused_words)
            logger.warning(
                "%d words belong to windows past WORDCOUNT_RETENTION and are not counted",
                refused_words,
            )

    def flushed(self, result: FlushedRows, *, complete: bool) -> None:
        """Count the rows of a flush; `complete`: it left none unwritten."""
        self.rows_flushed.inc(result.rows)
        self.rows_unwritten.inc(len(result.unwritten))
        self.rows_superseded.inc(result.superseded)
        self.rows_existing.inc(result.existing)
        if complete:
            self._last_flush.set_to_current_time()

    def top_flushed(self, result: FlushedRows) -> None:
        """Count the ranks that a flush wrote to the table of top words."""
        self.top_rows_flushed.inc(result.rows)

    def last_flush_seconds(self) -> float:
        """Unix time of the last flush that left no row unwritten; 0: none yet."""
        return _value(self._last_flush)


def total(counter: Counter) -> int:
    """The value of a counter without labels."""
    return int(_value(counter, "_total"))


def _value(metric: Counter | Gauge, suffix: str = "") -> float:
    return next(
        sample.value
        for family in metric.collect()
        for sample in family.samples
        if sample.name == family.name + suffix
    )


def count_lines(values: Sequence[bytes]) -> int:
    """Number of lines in messages; a newline at the end of a message begins no line."""
    if not values:
        return 0
    # Searching for b"\n\n" takes ten times as long.
    newlines = np.frombuffer(b"\n".join(values), np.uint8) == _NEWLINE
    lines = int(np.count_nonzero(newlines)) + 1
    if newlines[-1:].any() or (newlines[1:] & newlines[:-1]).any():
        lines -= sum(value.endswith(b"\n") for value in values)
    return lines
