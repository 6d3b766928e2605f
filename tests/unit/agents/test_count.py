"""The agent `count`: RocksDB and memory follow the transaction, and never lead it."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import TopicPartition

from agents.count import Counter
from app.kafka.producer import FencedError
from app.metrics import Metrics
from app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHANGELOG = TopicPartition(Settings.read({}).changelog, 0)


class Table:
    """A table that notes, in order, what is done with it and with the task."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.owned = {0: None}
        self.memory_budget = SimpleNamespace(checkpoint_rows=100)
        self.row_quota = self
        self.store = SimpleNamespace(persisted_offset=lambda _: None)
        self.databases = SimpleNamespace(write=lambda *_: self.done.append("stored"))

    @contextlib.asynccontextmanager
    async def reserve(self, cost: int) -> AsyncIterator[None]:
        """There is room; what it was asked for, and when it was given back."""
        self.done.append(f"room for {cost}")
        yield
        self.done.append("room left")

    def merge(self, partition: int, deltas: Any, watermarks: Any, active_sources: Any) -> Any:
        """Prepare a change of one row."""
        return SimpleNamespace(puts=[(b"key", b"row")], size=1, refused=0)

    def apply(self, partition: int, change: Any, offset: int) -> None:
        """Take the change in."""
        self.done.append(f"applied at {offset}")


class PartitionTask:
    """A task with nothing but the end of its blocks, whose transactions fail or not."""

    partition = 0

    def __init__(self, table: Table, error: Exception | None) -> None:
        self._table = table
        self._error = error

    async def take(self, timeout: float) -> list[Any] | None:
        """No block comes any more."""
        return None

    async def commit(self, outgoing: Any, offset: int | None) -> dict[TopicPartition, int]:
        """Commit, or fail to."""
        if self._error is not None:
            raise self._error
        self._table.done.append(f"committed {offset}")
        return {CHANGELOG: 9}


async def checkpoint(error: Exception | None) -> list[str]:
    """Let an agent count what waits; what was done, in order."""
    typed: Any = Table()
    agent = Counter(Settings.read({}), typed, Metrics())
    pending: Any = SimpleNamespace(deltas=[], watermarks={}, active_sources=set(), offset=5, rows=3)
    task: Any = PartitionTask(typed, error)
    try:
        await agent._checkpoint(task, pending)
    except FencedError:
        typed.done.append("fenced")
    done: list[str] = typed.done
    return done


@pytest.mark.parametrize(
    ("error", "done"),
    [
        (None, ["room for 3", "committed 5", "applied at 9", "room left"]),
        (FencedError("count"), ["room for 3", "fenced"]),
    ],
)
async def test_the_table_changes_once_the_transaction_has_committed(
    error: Exception | None, done: list[str]
) -> None:
    """What another worker may count again is in no store."""
    assert await checkpoint(error) == done
