"""The checkpointed RocksDB store below the table word_counts.

One database a partition. A checkpoint's rows and the changelog offset that they stand at are
written in one batch, after their transaction has committed: the store is never ahead of the
changelog, and recovery from the persisted offset is all that a crash needs.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from faust.stores.base import SerializedStore
from rocksdict import (
    BlockBasedOptions,
    Cache,
    DbClosedError,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
    WriteBufferManager,
)
from yarl import URL

from app.errors import UnavailableError
from app.faultpoints import reached
from app.kafka.offset_loss import OffsetLossError
from tables.rows import PREFIX_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from faust.types import TP, AppT, EventT
    from faust.types.tables import CollectionT

    from app.kafka.blocks import Block
    from tables.rows import Put

__all__ = ["CountStore"]

logger = logging.getLogger(__name__)

OFFSET = b"offset"
"""Key of the changelog offset that the rows stand at; shorter than any key of a window."""

_SIZES = ("rocksdb.live-sst-files-size", "rocksdb.cur-size-all-mem-tables")

MEMTABLE_BYTES = 16 << 20
"""Largest memtable of one partition; all together are held to a share of the memory, too."""

DAMAGED = "DAMAGED"
"""File in a database's directory: it is to be thrown away before it is opened again."""

UNLOCK_SECONDS = 5.0
"""How long a scan may take to notice that its database has been closed."""


class CountStore(SerializedStore[bytes, bytes]):
    """RocksDB databases of this worker's partitions, active and standby.

    `memory` (bytes) is for the blocks and memtables of all of them; `begins` tells where each
    partition's changelog begins. Whatever finds a database damaged raises UnavailableError, and the
    worker stops: the next start throws it away and recovers it.
    """

    logger = logging.getLogger("faust.stores")  # what it says as a Faust service

    def __init__(self, app: AppT, table: CollectionT, memory: int) -> None:
        super().__init__(URL("rocksdb:"), app, table, key_type=bytes, value_type=bytes)
        self.begins: dict[int, int] = {}
        self._databases: dict[int, Rdict] = {}
        self._opening = threading.Lock()
        self._memory = memory
        self._cache: Cache | None = None

    # What the table uses

    def read(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values of `keys`, None where there is none."""
        if not keys:
            return []
        database = self._database(partition)
        with self._minding_damage(partition):
            values: list[bytes | None] = database.get(list(keys))
        return values

    def write(self, partition: int, puts: Iterable[Put], offset: int) -> None:
        """Write rows and the changelog `offset` that they stand at, as one.

        Raises UnavailableError if the disk does not take them.
        """
        batch = WriteBatch(raw_mode=True)
        for key, value in puts:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(OFFSET, str(offset).encode())
        database = self._database(partition)
        try:
            with self._minding_damage(partition):  # what compaction found, writing tells
                database.write(batch)
        except UnavailableError:
            raise
        except Exception as error:
            raise UnavailableError(
                f"RocksDB can't write {self._path(partition)}: {error}; make room on its disk, "
                "or name another data directory by --datadir"
            ) from None

    def scan(self, partition: int, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Rows from key `start` up to and without key `end`, in order.

        Raises DbClosedError once the database has been closed: it stays locked until then.
        """
        database = self._database(partition)
        with self._minding_damage(partition):
            iterator = database.iter()
            iterator.seek(start)
            while iterator.valid():
                if self._databases.get(partition) is not database:
                    raise DbClosedError
                key = iterator.key()
                if key >= end:
                    return
                yield key, iterator.value()
                iterator.next()
            iterator.status()  # raises if it was an error that ended the loop, not the last row

    def prefixes(self, partition: int) -> Iterator[bytes]:
        """The first 8 bytes of keys, each once, in order: one for each window."""
        database = self._database(partition)
        with self._minding_damage(partition):
            iterator = database.iter()
            iterator.seek_to_first()
            while iterator.valid():
                key = iterator.key()
                if len(key) < PREFIX_BYTES:
                    iterator.next()
                    continue
                prefix = key[:PREFIX_BYTES]
                yield prefix
                if prefix == b"\xff" * PREFIX_BYTES:
                    return
                iterator.seek((int.from_bytes(prefix, "big") + 1).to_bytes(PREFIX_BYTES, "big"))
            iterator.status()  # as in `scan`

    def sizes(self) -> dict[int, int]:
        """Bytes of each open database, standby copies too: its files and what is in memory."""
        found = {}
        for partition, database in list(self._databases.items()):
            with contextlib.suppress(DbClosedError):  # by a rebalance, meanwhile
                found[partition] = sum(database.property_int_value(name) or 0 for name in _SIZES)
        return found

    def cached(self) -> int:
        """Bytes that RocksDB holds in memory: blocks of files, and memtables."""
        return 0 if self._cache is None else self._cache.get_usage()

    # What Faust's recovery uses

    def persisted_offset(self, tp: TP) -> int | None:
        """The changelog offset that the rows stand at; None where nothing is stored."""
        [offset] = self.read(tp.partition, [OFFSET])
        return None if offset is None else int(offset)

    def refuse_foreign(self, tp: TP, end: int) -> None:
        """Throw the local copy away if it has seen more than its changelog holds, up to `end`.

        That is a changelog that was made anew: the copy's rows are not its rows.
        """
        offset = self.persisted_offset(tp)
        if offset is not None and offset >= end:
            logger.warning(
                "local rows of partition %d stand at offset %d, but %s ends at %d: "
                "the topic was made anew; so are the rows",
                tp.partition,
                offset,
                tp.topic,
                end,
            )
            self.close(tp.partition)
            shutil.rmtree(self._path(tp.partition))

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        """Do nothing: offsets are written with the rows that they belong to."""

    def apply_changelog_batch(
        self,
        batch: Iterable[EventT[Any]],
        to_key: Callable[[Any], Any],
        to_value: Callable[[Any], Any],
    ) -> None:
        """Write blocks of the changelog."""
        for event in batch:
            block = cast("Block", event.message.value)
            at = self.persisted_offset(event.message.tp)
            next_offset = self.begins.get(block.partition, 0) if at is None else at + 1
            if block.first > next_offset:
                # Faust only logs what is raised here; the next block would bury the hole.
                hole = f"offsets {next_offset} to {block.first - 1} of {block.topic} did not come"
                cast("Any", self.app).fail(OffsetLossError(f"recovery has a hole: {hole}"))
                return
            if block.next <= next_offset:
                continue  # a row must never go back to what it was
            rows = zip(block.records.keys, block.records.values, strict=True)
            try:
                self.write(block.partition, rows, block.next - 1)
            except UnavailableError as error:
                cast("Any", self.app).fail(error)
                raise
            reached("store.recovered")

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],
        newly_assigned: set[TP],
        generation_id: int = 0,
    ) -> None:
        """Close the databases of partitions that this worker holds no more."""
        kept = {tp.partition for tp in assigned if tp.topic == self._changelog}
        for partition in set(self._databases) - kept:
            self.close(partition)

    async def stop(self) -> None:
        """Close all databases."""
        for partition in list(self._databases):
            self.close(partition)
        await super().stop()

    def close(self, partition: int) -> None:
        """Close one database; it opens again when it is next used."""
        database = self._databases.pop(partition, None)
        if database is not None:
            # Closing a damaged one fails, too; the worker stops for it, and closes the others.
            with contextlib.suppress(UnavailableError), self._minding_damage(partition):
                database.close()

    def reset_state(self) -> None:
        """Delete the local databases, for `faust reset`; the changelog brings them back."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _changelog(self) -> str:
        name: str = self.table.changelog_topic.get_topic_name()
        return name

    @property
    def _folder(self) -> Path:
        return Path(self.app.conf.tabledir)

    def _database(self, partition: int) -> Rdict:
        database = self._databases.get(partition)
        if database is None:
            with self._opening:  # two threads must not open one database
                database = self._databases.get(partition)
                if database is None:
                    database = self._databases[partition] = self._open(partition)
        return database

    def _path(self, partition: int) -> Path:
        return self._folder / f"{self.table_name}-{partition}.rocksdb"

    def _open(self, partition: int) -> Rdict:
        path = self._path(partition)
        with contextlib.suppress(FileExistsError):
            path.parent.mkdir(parents=True)
        marked = path / DAMAGED
        if marked.exists():
            self._throw_away(path, marked.read_text())
        try:
            return self._unlocked(path)
        except Exception as error:
            if "orrupt" not in str(error) and "No such file" not in str(error):
                raise UnavailableError(
                    f"RocksDB can't open {path}: {error}; is another worker using this data "
                    "directory? Give each worker its own with --datadir"
                ) from None
            self._throw_away(path, str(error))
            return self._unlocked(path)

    def _throw_away(self, path: Path, damage: str) -> None:
        # The changelog holds every row: a broken copy is made anew.
        logger.warning("%s is damaged (%s); recovering it from the changelog", path, damage)
        shutil.rmtree(path, ignore_errors=True)

    @contextlib.contextmanager
    def _minding_damage(self, partition: int) -> Iterator[None]:
        """Stop the worker for a database that turns out damaged, and mark it.

        It is not deleted here: other threads may be in it.
        """
        try:
            yield
        except Exception as error:
            if not str(error).startswith("Corruption: "):
                raise
            path = self._path(partition)
            remedy = "the next start throws it away and recovers it from the changelog"
            try:
                (path / DAMAGED).write_text(str(error))
            except OSError:
                remedy = "delete it: the next start recovers it from the changelog"
            said = f"{path} is damaged ({error}); {remedy}"
            # Not the error that is raised: its frames would keep an iterator, which keeps the lock.
            cast("Any", self.app).fail(UnavailableError(said))
            raise UnavailableError(said) from None

    def _unlocked(self, path: Path) -> Rdict:
        deadline = time.monotonic() + UNLOCK_SECONDS
        while True:
            try:
                return Rdict(str(path), options=self._options())
            except Exception as error:
                # A scan in a thread still has the one that was closed a moment ago.
                if "current process" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _options(self) -> Options:
        if self._cache is None:
            self._cache = Cache(self._memory)
            # Memtables of all partitions, counted in the cache: a third of it at the most.
            self._memtables = WriteBufferManager.new_write_buffer_manager_with_cache(
                self._memory // 3, False, self._cache
            )
        table = BlockBasedOptions()
        table.set_block_cache(self._cache)
        table.set_bloom_filter(10, block_based=False)
        table.set_cache_index_and_filter_blocks(True)
        table.set_block_size(16 << 10)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_block_based_table_factory(table)
        options.set_compression_type(DBCompressionType.lz4())
        options.set_write_buffer_size(MEMTABLE_BYTES)
        options.set_max_write_buffer_number(2)
        options.set_write_buffer_manager(self._memtables)
        options.set_max_background_jobs(2)
        options.set_keep_log_file_num(2)
        options.set_max_open_files(256)
        return options

    # What a Store must have for Faust's own use of a table; the application goes by partition.

    def _get(self, key: bytes) -> bytes | None:
        for partition in self._databases:
            value: bytes | None = self._database(partition).get(key)
            if value is not None:
                return value
        return None

    def _set(self, key: bytes, value: bytes | None) -> None:
        raise NotImplementedError("rows are written by checkpoints only")

    def _del(self, key: bytes) -> None:
        raise NotImplementedError("rows are deleted by checkpoints only")

    def _iteritems(self) -> Iterator[tuple[bytes, bytes]]:
        for partition in list(self._databases):
            for key, value in self._database(partition).items():
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
