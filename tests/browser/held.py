"""A worker that is held where it recovers, for as long as a test looks at it."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.embedded import EmbeddedKafka
    from tests.integration.conftest import RunningWorker, Stream

__all__ = ["held_in_recovery"]


@contextmanager
def held_in_recovery(stream: Stream, kafka: EmbeddedKafka) -> Iterator[RunningWorker]:
    """Start a worker that has no rows yet, and let it recover when the test has looked.

    It halts itself when the first rows have come. Kafka is halted then, and the worker goes on; if
    the changelog is longer than a fetch of each partition, it can't get to the end.
    """
    worker = stream.start(ready=False, FAULTPOINTS="store.recovered:1:SIGSTOP")
    process = psutil.Process(worker.process.pid)
    worker.wait_until(lambda: process.status() == psutil.STATUS_STOPPED)
    kafka.pause()
    try:
        process.send_signal(signal.SIGCONT)
        worker.wait_until(lambda: worker.json("/api/status")["workers"][0]["state"] == "recovering")
        yield worker
    finally:
        kafka.resume()
