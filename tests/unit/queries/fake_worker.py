"""A worker for tests of the queries: implements WorkerView, and tests set its attributes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.queries.worker_view import WorkerView

__all__ = ["FakeWorker"]


class FakeWorker:
    """A working worker without stages, in generation 3 of its group."""

    def __init__(self, url: str = "http://127.0.0.1:6066", **environ: str) -> None:
        self.settings = Settings.read(environ)
        self.url = url
        self.stages: Sequence[Any] = []
        self.table: Any = SimpleNamespace(owned={})
        self.generation = 3
        self.rebalances = 1
        self.failure: BaseException | None = None
        self.stopping = False
        self.recovering = False
        self.kafka_reachable = True
        self.down_seconds = 0.0
        self.assigned: dict[str, list[int]] = {}

    def recovery_remaining(self) -> int:
        """Nothing is left to recover."""
        return 0

    def cassandra_down_seconds(self) -> float:
        """The duration that the test has set."""
        return self.down_seconds

    def partitions_by_url(self) -> Mapping[str, Sequence[int]]:
        """The assignment that the test has set."""
        return self.assigned


def _implements(worker: FakeWorker) -> WorkerView:
    return worker
