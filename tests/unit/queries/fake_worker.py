"""A worker for tests of the queries: implements WorkerState, and tests set its attributes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.queries.worker_state import WorkerState

__all__ = ["FakeWorker"]


class FakeWorker:
    """A working worker without stages, in generation 3 of its group."""

    def __init__(self, url: str = "http://127.0.0.1:6066") -> None:
        self.url = url
        self.stages: Sequence[Any] = []
        self.table: Any = SimpleNamespace(owned={})
        self.consumer_generation_id = 3
        self.rebalancing_count = 1
        self.in_recovery = False
        self.should_stop = False
        self.failure: BaseException | None = None
        self.assigned: dict[str, list[int]] = {}

    def recovery_remaining(self) -> int:
        """Nothing is left to recover."""
        return 0

    def table_partitions(self) -> Mapping[str, Sequence[int]]:
        """The assignment that the test has set."""
        return self.assigned


def _implements(worker: FakeWorker) -> WorkerState:
    return worker
