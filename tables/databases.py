"""RocksDB databases, one a partition: opened on demand, written in batches, marked when damaged.

A database that turns out damaged stops the worker. It is marked, and the next start deletes it
before it opens a new one: the changelog has every row.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import time
from typing import TYPE_CHECKING

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

from app.errors import UnavailableError
from tables.rows import PREFIX_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from tables.rows import Put

__all__ = ["Databases"]

logger = logging.getLogger(__name__)

OFFSET = b"offset"
"""Key of the changelog offset that the rows stand at; shorter than any key of a window."""

_SIZES = ("rocksdb.live-sst-files-size", "rocksdb.cur-size-all-mem-tables")

MEMTABLE_BYTES = 16 << 20
"""Maximum size of one partition's memtable; a share of the memory limits all of them together."""

DAMAGED = "DAMAGED"
"""File in the directory of a database that must be deleted before it is opened again."""

UNLOCK_SECONDS = 5.0
"""Time for a scan to notice that its database has been closed."""


class Databases:
    """The databases of this worker's partitions, active and standby.

    They are named `name`-partition in `folder` and share `memory` bytes for blocks and memtables.
    A database that turns out damaged raises UnavailableError, which `fail` gets as well.
    """

    def __init__(
        self,
        folder: Callable[[], Path],
        name: str,
        memory: int,
        fail: Callable[[UnavailableError], None],
    ) -> None:
        self._folder = folder
        self._name = name
        self._memory = memory
        self._fail = fail
        self._open: dict[int, Rdict] = {}
        self._opening = threading.Lock()
        self._cache: Cache | None = None

    def partitions(self) -> list[int]:
        """Partitions whose databases are open."""
        return list(self._open)

    def read(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values of `keys`, None where there is none."""
        if not keys:
            return []
        database = self.database(partition)
        with self._stop_on_damage(partition):
            values: list[bytes | None] = database.get(list(keys))
        return values

    def offset(self, partition: int) -> int | None:
        """The changelog offset that the rows stand at; None where nothing is stored."""
        [offset] = self.read(partition, [OFFSET])
        return None if offset is None else int(offset)

    def write(self, partition: int, puts: Iterable[Put], offset: int) -> None:
        """Write rows and the changelog `offset` that they stand at, as one.

        Raises UnavailableError if the disk does not take them.
        """
        # One batch: after a crash the store has both the rows and their offset, or neither.
        batch = WriteBatch(raw_mode=True)
        for key, value in puts:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(OFFSET, str(offset).encode())
        database = self.database(partition)
        try:
            with self._stop_on_damage(partition):  # a write raises what compaction has found
                database.write(batch)
        except UnavailableError:
            raise
        except Exception as error:
            raise UnavailableError(
                f"RocksDB can't write {self.path(partition)}: {error}; make room on its disk, "
                "or name another data directory by --datadir"
            ) from None

    def scan(self, partition: int, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Rows from key `start` up to, not including, key `end`, in order.

        Raises DbClosedError once the database has been closed: it stays locked until then.
        """
        database = self.database(partition)
        with self._stop_on_damage(partition):
            iterator = database.iter()
            try:
                iterator.seek(start)
                while iterator.valid():
                    if self._open.get(partition) is not database:
                        raise DbClosedError
                    key = iterator.key()
                    if key >= end:
                        return
                    yield key, iterator.value()
                    iterator.next()
                iterator.status()  # raises if an error ended the loop, not the last row
            finally:
                # It keeps a closed database locked, and the traceback of an error would keep it.
                del iterator

    def prefixes(self, partition: int) -> Iterator[bytes]:
        """The first 8 bytes of keys, each once, in order: one for each window."""
        # A seek past each prefix skips the window's rows: the cost is that of the windows alone.
        database = self.database(partition)
        with self._stop_on_damage(partition):
            iterator = database.iter()
            try:
                iterator.seek_to_first()
                while iterator.valid():
                    key = iterator.key()
                    if len(key) < PREFIX_BYTES:
                        iterator.next()
                        continue
                    prefix = key[:PREFIX_BYTES]
                    yield prefix
                    # The highest prefix has no next one to seek.
                    if prefix == b"\xff" * PREFIX_BYTES:
                        return
                    iterator.seek((int.from_bytes(prefix, "big") + 1).to_bytes(PREFIX_BYTES, "big"))
                iterator.status()
            finally:
                del iterator  # as in `scan`

    def sizes(self) -> dict[int, int]:
        """Bytes of each open database, standby copies too: its files and its memtables."""
        found = {}
        for partition, database in list(self._open.items()):
            with contextlib.suppress(DbClosedError):  # by a rebalance, meanwhile
                found[partition] = sum(database.property_int_value(name) or 0 for name in _SIZES)
        return found

    def cached(self) -> int:
        """Bytes that RocksDB holds in memory: blocks of files, and memtables."""
        return 0 if self._cache is None else self._cache.get_usage()

    def database(self, partition: int) -> Rdict:
        """The database of a partition, opened if it is not open."""
        database = self._open.get(partition)
        if database is None:
            with self._opening:  # two threads must not open one database
                database = self._open.get(partition)
                if database is None:
                    database = self._open[partition] = self._opened(partition)
        return database

    def path(self, partition: int) -> Path:
        """The directory of a partition's database."""
        return self._folder() / f"{self._name}-{partition}.rocksdb"

    def close(self, partition: int) -> None:
        """Close one database; its next use opens it again."""
        database = self._open.pop(partition, None)
        if database is not None:
            # Closing a damaged database fails, too. That stops the worker, which closes the others.
            with contextlib.suppress(UnavailableError), self._stop_on_damage(partition):
                database.close()

    def delete(self, partition: int) -> None:
        """Close one database and delete its files; the changelog brings the rows back."""
        self.close(partition)
        shutil.rmtree(self.path(partition))

    def delete_all(self) -> None:
        """Delete the folder of the databases; the changelog brings the rows back."""
        shutil.rmtree(self._folder(), ignore_errors=True)

    def _opened(self, partition: int) -> Rdict:
        path = self.path(partition)
        with contextlib.suppress(FileExistsError):
            path.parent.mkdir(parents=True)
        marked = path / DAMAGED
        if marked.exists():
            self._throw_away(path, marked.read_text())
        try:
            return self._unlocked(path)
        except Exception as error:
            # RocksDB's errors differ in their text alone. Only damage may cost the files: a lock, a
            # full disk or missing rights pass.
            if "orrupt" not in str(error) and "No such file" not in str(error):
                raise UnavailableError(
                    f"RocksDB can't open {path}: {error}; is another worker using this data "
                    "directory? Give each worker its own with --datadir"
                ) from None
            self._throw_away(path, str(error))
            return self._unlocked(path)

    def _throw_away(self, path: Path, damage: str) -> None:
        logger.warning("%s is damaged (%s); recovering it from the changelog", path, damage)
        shutil.rmtree(path, ignore_errors=True)

    @contextlib.contextmanager
    def _stop_on_damage(self, partition: int) -> Iterator[None]:
        """Mark a database that turns out damaged, and stop the worker.

        The database is not deleted here: other threads may be using it.
        """
        try:
            yield
        except Exception as error:
            if not str(error).startswith("Corruption: "):
                raise
            path = self.path(partition)
            remedy = "the next start throws it away and recovers it from the changelog"
            try:
                (path / DAMAGED).write_text(str(error))
            except OSError:
                remedy = "delete it: the next start recovers it from the changelog"
            message = f"{path} is damaged ({error}); {remedy}"
            # Not the error that is raised: its frames would keep an iterator, which keeps the lock.
            self._fail(UnavailableError(message))
            raise UnavailableError(message) from None

    def _unlocked(self, path: Path) -> Rdict:
        deadline = time.monotonic() + UNLOCK_SECONDS
        while True:
            try:
                return Rdict(str(path), options=self._options())
            except Exception as error:
                # A scan in a thread still holds the database that was closed a moment ago.
                if "current process" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _options(self) -> Options:
        if self._cache is None:
            self._cache = Cache(self._memory)
            # The cache counts the memtables of all partitions, which take up to a third of it.
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
