"""Checkpoints: RocksDB and memory follow the transaction, and never lead it."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import TopicPartition

from agents.checkpointing import Checkpointer
from app.kafka.producer import FencedError
from app.metrics import Metrics
from app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHANGELOG = TopicPartition(Settings.read({}).changelog, 0)


class Table:
    """A table that records the order of its own calls and of the task's."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.owned = {0: None}
        self.memory_budget = SimpleNamespace(checkpoint_rows=100)
        self.row_quota = self
        self.store = SimpleNamespace(persisted_offset=lambda _: None)
        self.databases = SimpleNamespace(write=lambda *_: self.done.append("stored"))

    @contextlib.asynccontextmanager
    async def reserve(self, cost: int) -> AsyncIterator[None]:
        """Record the reservation and its end."""
        self.done.append(f"room for {cost}")
        yield
        self.done.append("room left")

    def merge(self, partition: int, deltas: Any, watermarks: Any, active_sources: Any) -> Any:
        """Prepare a change of one row."""
        return SimpleNamespace(puts=[(b"key", b"row")], size=1, refused=0)

    def apply(self, partition: int, change: Any, offset: int) -> None:
        """Record the change."""
        self.done.append(f"applied at {offset}")


class FakeTask:
    """A task whose transactions succeed, or raise `error`."""

    partition = 0

    def __init__(self, table: Table, error: Exception | None) -> None:
        self._table = table
        self._error = error

    async def commit(self, records: Any, offset: int | None) -> dict[TopicPartition, int]:
        """Record the commit, or raise."""
        if self._error is not None:
            raise self._error
        self._table.done.append(f"committed {offset}")
        return {CHANGELOG: 9}


async def checkpoint(error: Exception | None) -> list[str]:
    """Run a checkpoint; return the calls in order."""
    typed: Any = Table()
    checkpointer = Checkpointer(typed, Settings.read({}).changelog, Metrics())
    pending: Any = SimpleNamespace(deltas=[], watermarks={}, active_sources=set(), offset=5, rows=3)
    task: Any = FakeTask(typed, error)
    try:
        await checkpointer.checkpoint(task, pending)
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
    """A fenced checkpoint changes neither memory nor store: the next owner counts it again."""
    assert await checkpoint(error) == done
