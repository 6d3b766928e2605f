"""Turns the rows of one write into batches of encoded rows; other tasks get turns meanwhile."""

from __future__ import annotations

import asyncio
import time
from itertools import chain
from typing import TYPE_CHECKING, Any

from app.cassandra.batching import Batcher
from app.cassandra.columns import CodecError
from app.cassandra.requests import Item

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

    from app.cassandra.session import CassandraSession
    from app.cassandra.target import Target
    from app.settings import Settings

__all__ = ["batches", "newest", "ordered_by_partition"]

_ROWS_PER_TURN = 500
"""Rows to process before other tasks of the event loop get a turn: about 2 ms."""


async def newest(target: Target, rows: Iterable[Any]) -> tuple[dict[Hashable, Any], int]:
    """Map each identity to its newest row, the last one of equal timestamps; count the others."""
    superseded = 0
    found: dict[Hashable, Any] = {}
    identity = target.identity
    for number, row in enumerate(rows, 1):
        key = identity(row)
        other = found.setdefault(key, row)
        if other is not row:
            superseded += 1
            if row.timestamp_us >= other.timestamp_us:
                found[key] = row
        if number % (10 * _ROWS_PER_TURN) == 0:
            await asyncio.sleep(0)
    return found, superseded


async def ordered_by_partition(target: Target, rows: Iterable[Any]) -> list[Any]:
    """Order rows by partition: Cassandra applies adjacent rows of a partition as one write."""
    partition_of = target.neighbours
    if partition_of is None:
        return list(rows)
    partitions: dict[Hashable, list[Any]] = {}
    for number, row in enumerate(rows, 1):
        partitions.setdefault(partition_of(row), []).append(row)
        if number % (10 * _ROWS_PER_TURN) == 0:
            await asyncio.sleep(0)
    return list(chain.from_iterable(partitions.values()))


def batches(
    session: CassandraSession,
    settings: Settings,
    target: Target,
    prepared: Sequence[Any],
    rows: Iterable[Any],
    refuse: Callable[[Any, str], object],
) -> Iterator[list[Item] | None]:
    """Yield batches in the order in which they fill; None at times gives other tasks a turn.

    Calls `refuse` with a row that its columns can't hold, and the reason.
    """
    # Workers pull the batches, so rows are encoded while other batches are in flight. Encoded rows
    # wait in the open batches only, however many rows there are.
    batcher: Batcher[Item] = Batcher(
        max_rows=1 if settings.output_if_not_exists else settings.output_batch_rows,
        max_bytes=settings.output_batch_bytes,
        max_open=settings.output_batch_grouping_buffer,
    )
    group_of = target.grouping(session)
    now_ms = int(time.time() * 1000)
    for number, row in enumerate(rows, 1):
        if number % _ROWS_PER_TURN == 0:
            now_ms = int(time.time() * 1000)
            yield None
        try:
            values = target.encode(row, now_ms)
        except CodecError as error:
            refuse(row, str(error))
            continue
        routing_key, size = target.routing_key(values), target.size(values)
        item = Item(row, prepared[target.which(row)], values, routing_key, size)
        batch = batcher.add(group_of(row, routing_key), item, size)
        if batch is not None:
            yield batch.items
    for batch in batcher.drain():
        yield batch.items
