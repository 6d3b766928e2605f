"""Builds one request of the driver from encoded rows, without binding their values again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cassandra.query import BatchStatement, BatchType, BoundStatement

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Item", "request"]


class Item(NamedTuple):
    """A row, its statement, the values bound for it, its partition's key, its bytes in a batch."""

    row: Any
    prepared: Any
    values: list[Any]
    routing_key: bytes
    size: int


def request(keyspace: str, items: Sequence[Item]) -> Any:
    """One request that writes `items`: an UNLOGGED batch, or a single statement.

    The driver sends it to a replica of its first row.
    """
    if len(items) == 1:
        bound = BoundStatement(items[0].prepared, routing_key=items[0].routing_key)
        bound.values = items[0].values
        return bound
    batch = BatchStatement(BatchType.UNLOGGED)
    batch.keyspace = keyspace
    batch.routing_key = items[0].routing_key
    # Build the list that add() would build: add() costs more than all other work for a row.
    batch._statements_and_parameters = [  # noqa: SLF001 - the driver's version is pinned
        (True, item.prepared.query_id, item.values) for item in items
    ]
    return batch
