"""Faust's store below the table word_counts: recovers the databases from the changelog.

A checkpoint's rows and the changelog offset that they stand at are written in one batch, after
their transaction has committed. So the store is never ahead of the changelog, and after a crash
recovery from the persisted offset is all that is needed.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from faust.stores.base import SerializedStore
from yarl import URL

from app.errors import UnavailableError
from app.kafka.offset_loss import OffsetLossError
from tables.databases import Databases
from tables.rows import PREFIX_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from faust.types import TP, AppT, EventT
    from faust.types.tables import CollectionT

    from app.kafka.blocks import Block

__all__ = ["CountStore"]

logger = logging.getLogger(__name__)


class CountStore(SerializedStore[bytes, bytes]):
    """The store of this worker's partitions, active and standby.

    `memory` (bytes) is for the blocks and memtables of all databases; `begins` is the offset at
    which each partition's changelog begins.
    """

    logger = logging.getLogger("faust.stores")  # the name that Faust's own stores log under

    def __init__(self, app: AppT, table: CollectionT, memory: int) -> None:
        super().__init__(URL("rocksdb:"), app, table, key_type=bytes, value_type=bytes)
        self.begins: dict[int, int] = {}
        self.databases = Databases(self._folder, self.table_name, memory, self._fail)

    def _folder(self) -> Path:
        # Asked when a database is opened: the command line sets the data directory late.
        return Path(self.app.conf.tabledir)

    def _fail(self, error: Exception) -> None:
        cast("Any", self.app).fail(error)

    # Faust's recovery calls these

    def persisted_offset(self, tp: TP) -> int | None:
        """The changelog offset that the rows stand at; None where nothing is stored."""
        return self.databases.offset(tp.partition)

    def refuse_foreign(self, tp: TP, end: int) -> None:
        """Delete local rows that stand at or past `end`, where their changelog ends.

        The changelog was recreated then: the local rows are not its rows.
        """
        offset = self.persisted_offset(tp)
        if offset is not None and offset >= end:
            logger.warning(
                "local rows of partition %d stand at offset %d, but %s ends at %d: "
                "the topic was recreated; deleting the rows and recovering them from it",
                tp.partition,
                offset,
                tp.topic,
                end,
            )
            self.databases.delete(tp.partition)

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        """Do nothing: offsets are written with the rows that they belong to."""

    def apply_changelog_batch(
        self,
        batch: Iterable[EventT[Any]],
        to_key: Callable[[Any], Any],
        to_value: Callable[[Any], Any],
    ) -> None:
        """Write blocks of the changelog, each once and in order."""
        for event in batch:
            block = cast("Block", event.message.value)
            at = self.persisted_offset(event.message.tp)
            next_offset = self.begins.get(block.partition, 0) if at is None else at + 1
            if block.first > next_offset:
                # Faust only logs an error raised here, and the next block would hide the hole.
                hole = f"offsets {next_offset} to {block.first - 1} of {block.topic} did not come"
                self._fail(OffsetLossError(f"recovery has a hole: {hole}"))
                return
            if block.next <= next_offset:
                continue  # a row must never return to an older value
            rows = zip(block.records.keys, block.records.values, strict=True)
            try:
                self.databases.write(block.partition, rows, block.next - 1)
            except UnavailableError as error:
                self._fail(error)
                raise

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],
        newly_assigned: set[TP],
        generation_id: int = 0,
    ) -> None:
        """Close the databases of partitions that this worker no longer holds."""
        kept = {tp.partition for tp in assigned if tp.topic == self._changelog}
        for partition in set(self.databases.partitions()) - kept:
            self.databases.close(partition)

    async def stop(self) -> None:
        """Close all databases."""
        for partition in self.databases.partitions():
            self.databases.close(partition)
        await super().stop()

    def reset_state(self) -> None:
        """Delete the local databases, for `faust reset`; the changelog brings the rows back."""
        self.databases.delete_all()

    @property
    def _changelog(self) -> str:
        name: str = self.table.changelog_topic.get_topic_name()
        return name

    # Methods that Faust's base class demands; the application itself reads by partition.

    def _get(self, key: bytes) -> bytes | None:
        for partition in self.databases.partitions():
            value: bytes | None = self.databases.database(partition).get(key)
            if value is not None:
                return value
        return None

    def _set(self, key: bytes, value: bytes | None) -> None:
        raise NotImplementedError("rows are written by checkpoints only")

    def _del(self, key: bytes) -> None:
        raise NotImplementedError("rows are deleted by checkpoints only")

    def _iteritems(self) -> Iterator[tuple[bytes, bytes]]:
        for partition in self.databases.partitions():
            for key, value in self.databases.database(partition).items():
                if len(key) > PREFIX_BYTES:
                    yield key, value

    def _iterkeys(self) -> Iterator[bytes]:
        return (key for key, _ in self._iteritems())

    def _itervalues(self) -> Iterator[bytes | None]:
        return (value for _, value in self._iteritems())

    def _size(self) -> int:
        return sum(1 for _ in self._iteritems())

    def _contains(self, key: bytes) -> bool:
        return self._get(key) is not None

    def _clear(self) -> None:
        raise NotImplementedError("use `faust -A app reset`")

    async def backup_partition(
        self, tp: TP | int, flush: bool = True, purge: bool = False, keep: int = 1
    ) -> None:
        """Not offered: the changelog is the backup."""
        raise NotImplementedError("the changelog is the backup")

    def restore_backup(self, tp: TP | int, latest: bool = True, backup_id: int = 0) -> None:
        """Not offered: the changelog is the backup."""
        raise NotImplementedError("the changelog is the backup")
