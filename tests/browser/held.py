"""A worker that stays in recovery for as long as a test needs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.conftest import Stream
    from tests.workers import WorkerProcess

__all__ = ["held_in_recovery"]


@contextmanager
def held_in_recovery(stream: Stream, folder: Path) -> Iterator[WorkerProcess]:
    """Start a worker without rows; it recovers none until the block ends."""
    stall = folder / "recovery"
    stall.touch()
    worker = stream.start(ready=False, app="tests.integration.stalling", STALLS=str(folder))

    def is_recovering() -> bool:
        status = worker.json("/api/status")
        return bool(status and status["workers"][0]["state"] == "recovering")

    try:
        worker.wait_until(is_recovering)
        yield worker
    finally:
        stall.unlink()
