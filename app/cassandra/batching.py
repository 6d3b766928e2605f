"""Groups rows into batches, within limits of rows, bytes and open batches; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

__all__ = ["MAX_BATCH_ROWS", "Batcher", "RowBatch"]

MAX_BATCH_ROWS = 65_535
"""Maximum number of statements in a batch, by the protocol."""

T = TypeVar("T")


@dataclass(slots=True)
class RowBatch(Generic[T]):
    """Items of one group, and their total bytes."""

    items: list[T] = field(default_factory=list)
    size: int = 0


class Batcher(Generic[T]):
    """Collects items by group, and returns a batch when it is full or too many are open.

    A batch holds at most `max_rows` items and `max_bytes` bytes, but always at least one item. At
    most `max_open` batches are open: before another opens, the oldest is returned.
    """

    def __init__(self, *, max_rows: int | None, max_bytes: int, max_open: int) -> None:
        self._max_rows = min(max_rows or MAX_BATCH_ROWS, MAX_BATCH_ROWS)
        self._max_bytes = max_bytes
        self._max_open = max_open
        self._open: dict[Hashable, RowBatch[T]] = {}

    def add(self, group: Hashable, item: T, size: int) -> RowBatch[T] | None:
        """Add `item` of `size` bytes to its group's batch; return a batch to send, if any.

        That is the batch of the group if it is full, or the oldest if too many are open.
        """
        # A group has at most one open batch. A dict keeps the order of insertion, so its first key
        # is the group whose batch was opened first.
        out = None
        batch = self._open.get(group)
        if batch is None:
            if len(self._open) >= self._max_open:
                out = self._open.pop(next(iter(self._open)))
            batch = self._open[group] = RowBatch()
        elif len(batch.items) >= self._max_rows or batch.size + size > self._max_bytes:
            out = batch
            del self._open[group]
            batch = self._open[group] = RowBatch()
        batch.items.append(item)
        batch.size += size
        return out

    def drain(self) -> Iterator[RowBatch[T]]:
        """Remove and yield all open batches, oldest first."""
        while self._open:
            yield self._open.pop(next(iter(self._open)))
