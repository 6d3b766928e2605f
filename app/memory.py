"""The memory budget: WORDCOUNT_MEMORY divided among the parts of a worker, in bytes and in rows.

the process itself     288 MiB   interpreter, libraries, threads, connections
each partition past 4   32 MiB   its producers, database, transaction; at most half of the rest
of the rest:
  fetched lines          10 %    blocks that wait or are being counted
  fetched partial counts 10 %
  checkpoints            25 %    partial counts that wait, and the rows that they change
  dirty rows             30 %    rows that Cassandra lacks
  RocksDB                15 %    one cache for all partitions: blocks and memtables
  unassigned             10 %    texts being split, open transactions, candidates for top words
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from app.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "KEY_BYTES",
    "ByteQuota",
    "MemoryBudget",
    "check_memory",
    "checkpoint_cost",
    "collect_seldom",
    "dirty_cost",
    "excess_bytes",
    "give_back",
    "keep_memory_low",
    "row_cost",
]

PROCESS_BYTES = 288 << 20
PARTITION_BYTES, FREE_PARTITIONS = 32 << 20, 4
"""Memory of each partition past the first few. Measured with 16 partitions."""

KEY_BYTES = 32
"""The key of a row of ordinary length: the start of its window, and a word of up to 24 bytes."""

CHECKPOINT_ROW_BYTES, CHECKPOINT_COPIES = 450, 7
"""Memory of a row in a checkpoint: key, values before and after, record. Measured, rounded up.

A byte past the ordinary length is held in so many copies.
"""

DIRTY_ROW_BYTES = 280
"""Memory of a dirty row: key, count, version, and its place in a dictionary. Measured."""


class MemoryBudget(NamedTuple):
    """The limits of the parts of a worker: bytes, or rows of ordinary length for `…_rows`."""

    lines: int
    partials: int
    checkpoint_rows: int
    dirty_rows: int
    rocksdb: int

    @classmethod
    def of(cls, limit: int, partitions: int) -> MemoryBudget:
        """Divide a limit (bytes) for a worker that may come to own all `partitions`."""
        left = limit - PROCESS_BYTES
        left -= min(PARTITION_BYTES * max(0, partitions - FREE_PARTITIONS), left // 2)
        return cls(
            lines=left // 10,
            partials=left // 10,
            checkpoint_rows=left // 4 // CHECKPOINT_ROW_BYTES,
            dirty_rows=3 * left // 10 // DIRTY_ROW_BYTES,
            rocksdb=3 * left // 20,
        )


def excess_bytes(keys: Iterable[bytes]) -> int:
    """Sum of the bytes that keys have past the ordinary length."""
    return sum(len(key) - KEY_BYTES for key in keys if len(key) > KEY_BYTES)


def checkpoint_cost(rows: int, excess: int) -> int:
    """Number of ordinary rows that take as much of a checkpoint as `rows` with `excess` bytes."""
    return rows + excess * CHECKPOINT_COPIES // CHECKPOINT_ROW_BYTES


def dirty_cost(rows: int, excess: int) -> int:
    """Number of ordinary rows that take as much memory, dirty, as `rows` with `excess` bytes."""
    return rows + excess // DIRTY_ROW_BYTES


def row_cost(key: bytes) -> int:
    """`dirty_cost` of one row."""
    return 1 if len(key) <= KEY_BYTES else 1 + (len(key) - KEY_BYTES) // DIRTY_ROW_BYTES


class ByteQuota:
    """Counts the bytes of objects while they live; while it is `full`, no more should be made."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._lock = threading.Lock()

    @property
    def full(self) -> bool:
        """Whether the living objects have used the quota up."""
        return self._used >= self._limit

    def count(self, thing: Any, size: int) -> None:
        """Count `size` bytes until `thing` is collected, in whichever thread that happens."""
        self._add(size)
        weakref.finalize(thing, self._add, -size).atexit = False

    def _add(self, size: int) -> None:
        with self._lock:
            self._used += size


def check_memory(limit: int) -> None:
    """Raise ConfigurationError if this machine, or its control group, has less than `limit`."""
    available = _machine_bytes()
    if available is not None and limit > available:
        raise ConfigurationError(
            f"WORDCOUNT_MEMORY={limit >> 20}MiB: this machine lets the process have "
            f"{available >> 20}MiB; set it lower"
        )


def _machine_bytes() -> int | None:
    found = []
    with contextlib.suppress(OSError, ValueError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            found.append(int(Path(name).read_text(encoding="ascii")))
    return min(found, default=None)


_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8


def keep_memory_low() -> None:
    """Make glibc return freed memory to the kernel; does nothing with another C library.

    By default each thread has an arena of its own, and once a large block has been freed, all later
    blocks of its size come from an arena, which seldom shrinks. Blocks up to 16 MiB still come from
    arenas: with a limit of 1 MiB a busy worker spent a fifth of its CPU on mapping them again.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_ARENA_MAX, 2)
        mallopt(_MMAP_THRESHOLD, 16 << 20)
        mallopt(_TRIM_THRESHOLD, 32 << 20)


def give_back() -> None:
    """Collect garbage and return free memory to the kernel; takes some ms, for a thread.

    A rebalance leaves closed consumers, producers and tasks in cycles, which Python seldom looks
    for (see collect_seldom). By itself the C library returns free memory only at the end of the
    heap: a worker grew by the maximum that each of its parts ever needed, at different times.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


YOUNG_OBJECTS, YOUNG_ROUNDS, OLD_ROUNDS = 200_000, 20, 20


def collect_seldom() -> None:
    """Make Python look for cycles of garbage once in 200,000 new objects instead of 700.

    A block brings tens of thousands of objects, none in a cycle: their reference counts free them.
    At 700 the collector took half of a busy worker's CPU. Objects that exist now are frozen: they
    stay for good, and the collector skips them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_ROUNDS, OLD_ROUNDS)
