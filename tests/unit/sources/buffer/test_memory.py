"""A queue in memory is limited in bytes and dates the batches that wait for long."""

import time

from app.sources.base import Batch
from app.sources.buffer.memory import MemoryQueue


def test_batches_fit_up_to_the_limit() -> None:
    """The first batch always fits; one that is taken out makes space."""
    queue = MemoryQueue(limit_bytes=5)
    assert queue.fits(Batch.of(["longer than that"]))
    queue.put(Batch.of(["123"]), 1)
    assert queue.fits(Batch.of(["45"]))
    assert not queue.fits(Batch.of(["456"]))
    assert queue.get() is not None
    assert queue.fits(Batch.of(["456"]))
    assert queue.get() is None


def test_a_batch_that_waited_has_its_time_of_reading() -> None:
    """A batch that was read just now shares messages with others; an event time stays."""
    now_ms = time.time_ns() // 1_000_000
    queue = MemoryQueue(limit_bytes=100)
    queue.put(Batch.of(["old"]), now_ms - 10_000)
    queue.put(Batch.of(["new"]), now_ms)
    queue.put(Batch.of(["event"], timestamp_ms=7), now_ms - 10_000)
    assert [batch.timestamp_ms for batch in queue.all()] == [now_ms - 10_000, now_ms, 7]
    due = []
    while (waiting := queue.get()) is not None:
        due.append(waiting.due.timestamp_ms)
    assert due == [now_ms - 10_000, None, 7]
