"""The application with fault points (tests/faults/points.py) around methods of its parts."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer

from app import create_app
from app.cassandra.sink import CassandraSink
from app.commands.worker import worker as _worker  # noqa: F401 - the command, with its checks
from app.kafka.stage import Stage
from app.kafka.transport import BlockConsumer
from tables.flush_batch import FlushBatch
from tables.store import CountStore
from tables.word_counts import WordCounts
from tests.faults.points import lost, reached

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from faust.types import TP, EventT

    from app.kafka.blocks import Block
    from tables.checkpoint import Change

_commit_transaction = AIOKafkaProducer.commit_transaction
_put, _is_wanted = Stage.put, BlockConsumer._is_wanted
_apply, _recover = WordCounts.apply, CountStore.apply_changelog_batch
_write, _acknowledge = CassandraSink.write, FlushBatch.acknowledge


@wraps(_commit_transaction)  # a mutant commits without the point, by __wrapped__
async def commit_transaction(self: AIOKafkaProducer) -> None:
    """Records and offset are in the transaction, which is still open."""
    reached("writer.sent")
    await _commit_transaction(self)


async def put(self: Stage, block: Block) -> None:
    """Hand a block to its task, unless it gets lost on the way."""
    if not lost("blocks.fed"):
        await _put(self, block)


def is_wanted(self: BlockConsumer, partition: TP, active: set[TP] | None, generation: int) -> bool:
    """Whether a fetch is current; a fetch that gets lost looks like an overtaken one."""
    return _is_wanted(self, partition, active, generation) and not lost("blocks.fetched")


def apply(self: WordCounts, partition: int, change: Change, offset: int) -> None:
    """The transaction of a checkpoint has committed; then RocksDB has its rows."""
    reached("count.committed")
    _apply(self, partition, change, offset)
    reached("count.applied")


async def write(self: CassandraSink, rows: Any, **options: Any) -> Any:
    """The rows of a batch are in flight, and none is in Cassandra yet."""
    reached("flush.taken")
    return await _write(self, rows, **options)


def acknowledge(
    self: FlushBatch, rows: Iterable[tuple[int, str]], lists: Collection[tuple[int, int]] = ()
) -> None:
    """Cassandra has the rows of a batch, and the table does not mark them as flushed yet."""
    if any(taken.rows for taken in self._taken):
        reached("flush.written")
    _acknowledge(self, rows, lists)


def recover(
    self: CountStore,
    batch: Iterable[EventT[Any]],
    to_key: Callable[[Any], Any],
    to_value: Callable[[Any], Any],
) -> None:
    """Recovery has written a block of the changelog."""
    for event in batch:
        before = self.persisted_offset(event.message.tp)
        _recover(self, [event], to_key, to_value)
        if self.persisted_offset(event.message.tp) != before:
            reached("store.recovered")


AIOKafkaProducer.commit_transaction = commit_transaction
Stage.put = put  # type: ignore[method-assign]  # a fault point
BlockConsumer._is_wanted = is_wanted  # type: ignore[method-assign]  # a fault point
WordCounts.apply = apply  # type: ignore[method-assign]  # a fault point
CassandraSink.write = write  # type: ignore[method-assign]  # a fault point
FlushBatch.acknowledge = acknowledge  # type: ignore[method-assign]  # a fault point
CountStore.apply_changelog_batch = recover  # type: ignore[method-assign]  # a fault point
app = create_app()
