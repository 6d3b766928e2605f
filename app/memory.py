"""WORDCOUNT_MEMORY, divided: what each part of a worker may hold, in bytes and in rows.

the process itself     288 MiB   interpreter, libraries, threads, connections
each partition past 4   32 MiB   its writers, database and transaction; half of the rest at the most
of what is left:
  fetched lines          10 %    blocks that wait or are worked on
  fetched partial counts 10 %
  checkpoints            25 %    partial counts that wait, and the rows that they change
  unflushed rows         30 %    rows that wait for Cassandra
  RocksDB                15 %    one cache for all partitions: blocks and memtables
  the rest               10 %    texts being split, transactions under way, candidates of tops
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
"""What each partition past the first few takes by itself. Measured with 16."""

KEY_BYTES = 32
"""The key of a row of ordinary length: the start of its window, and a word of up to 24 bytes."""

CHECKPOINT_ROW_BYTES, CHECKPOINT_COPIES = 450, 7
"""A row in a checkpoint: its key, its values before and after, its record. Measured, rounded up.

Each byte that its word is longer is there as many times.
"""

DIRTY_ROW_BYTES = 280
"""A row that waits for Cassandra: its key, count and version, and its place. Measured."""


class MemoryBudget(NamedTuple):
    """What each part of a worker may hold: bytes, or rows of ordinary length where it says so."""

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
    """How many bytes keys have beyond the ordinary length, all together."""
    return sum(len(key) - KEY_BYTES for key in keys if len(key) > KEY_BYTES)


def checkpoint_cost(rows: int, longer: int) -> int:
    """How many rows of ordinary length take as much of a checkpoint as `rows`, `longer` by that."""
    return rows + longer * CHECKPOINT_COPIES // CHECKPOINT_ROW_BYTES


def dirty_cost(rows: int, longer: int) -> int:
    """How many rows of ordinary length take as much while they wait as `rows`, `longer` by that."""
    return rows + longer // DIRTY_ROW_BYTES


def row_cost(key: bytes) -> int:
    """The same of one row."""
    return 1 if len(key) <= KEY_BYTES else 1 + (len(key) - KEY_BYTES) // DIRTY_ROW_BYTES


class ByteQuota:
    """Counts the bytes of objects for as long as they live; `full` says to make no more now."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._lock = threading.Lock()

    @property
    def full(self) -> bool:
        """Whether the objects that live have used it up."""
        return self._used >= self._limit

    def count(self, thing: Any, size: int) -> None:
        """Count `size` bytes until `thing` is no more, whoever lets go of it, in any thread."""
        self._add(size)
        weakref.finalize(thing, self._add, -size).atexit = False

    def _add(self, size: int) -> None:
        with self._lock:
            self._used += size


def check_memory(limit: int) -> None:
    """Raise ConfigurationError if this machine, or its control group, has less than `limit`."""
    there = _machine_bytes()
    if there is not None and limit > there:
        raise ConfigurationError(
            f"WORDCOUNT_MEMORY={limit >> 20}MiB: this machine lets the process have "
            f"{there >> 20}MiB; set it lower"
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
    """Let the C library give memory back that was freed; where it is not glibc, do nothing.

    By default each thread has an arena of its own, and a large block that is freed once makes
    all later ones of its size come from an arena, which seldom shrinks. Blocks up to 16 MiB still
    do: with a limit of 1 MiB a fifth of a busy worker's CPU went into mapping them anew.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_ARENA_MAX, 2)
        mallopt(_MMAP_THRESHOLD, 16 << 20)
        mallopt(_TRIM_THRESHOLD, 32 << 20)


def give_back() -> None:
    """Collect garbage, and give the kernel what is free; takes some ms, for a thread.

    What a rebalance closes (consumers, producers, tasks) is in cycles, which Python seldom looks
    for (see collect_seldom). By itself the C library gives back what is free at the end only: what
    a worker took grew by the most that each of its parts ever needed, at different times.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


YOUNG_OBJECTS, YOUNG_ROUNDS, OLD_ROUNDS = 200_000, 20, 20


def collect_seldom() -> None:
    """Let Python look for cycles of garbage once in 200,000 new objects instead of 700.

    A block brings tens of thousands of objects, none in a cycle: they go by their reference
    counts. At 700 the looks took half of a busy worker's CPU. What is loaded by now stays for good
    and is not looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_ROUNDS, OLD_ROUNDS)
