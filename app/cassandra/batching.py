"""Pure: rows into batches, each of one group, within limits of rows, bytes and open batches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

__all__ = ["MAX_BATCH_ROWS", "Batch", "Batcher"]

MAX_BATCH_ROWS = 65_535
"""Most statements that the protocol lets a batch have."""

T = TypeVar("T")


@dataclass(slots=True)
class Batch(Generic[T]):
    """Items of one group and the bytes that they add up to."""

    items: list[T] = field(default_factory=list)
    size: int = 0


class Batcher(Generic[T]):
    """Gathers items by group; a batch comes out when it is full or too many are open.

    A batch holds at most `max_rows` items and `max_bytes` bytes, but always at least one item. At
    most `max_open` batches are open: one more makes the one opened first come out.
    """

    def __init__(self, *, max_rows: int | None, max_bytes: int, max_open: int) -> None:
        self._max_rows = min(max_rows or MAX_BATCH_ROWS, MAX_BATCH_ROWS)
        self._max_bytes = max_bytes
        self._max_open = max_open
        self._open: dict[Hashable, Batch[T]] = {}

    def add(self, group: Hashable, item: T, size: int) -> Batch[T] | None:
        """Put `item` of `size` bytes into its group's batch; the batch that came out, if one did.

        One at most comes out: the group's own, full, or the oldest, to make room for a new group.
        """
        out = None
        batch = self._open.get(group)
        if batch is None:
            if len(self._open) >= self._max_open:
                out = self._open.pop(next(iter(self._open)))
            batch = self._open[group] = Batch()
        elif len(batch.items) >= self._max_rows or batch.size + size > self._max_bytes:
            out = batch
            del self._open[group]
            batch = self._open[group] = Batch()
        batch.items.append(item)
        batch.size += size
        return out

    def drain(self) -> Iterator[Batch[T]]:
        """Take out all that are open, oldest first."""
        while self._open:
            yield self._open.pop(next(iter(self._open)))
