"""The table word_counts: how often each word occurs in each window.

Each partition's rows are changed by one worker only, the one whose task counts it. A change is
prepared (`merge`), written to the changelog by the task's transaction, then applied here.
"""

from __future__ import annotations

import json
import logging
import time
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import faust

from app.counting.windows import NO_WATERMARK
from app.threads import in_thread
from tables import rows
from tables.checkpoint import prepare_change
from tables.dirty_rows import DirtyRows, InheritedDirtyRows
from tables.partition import PartitionState
from tables.row_quota import RowQuota
from tables.store import CountStore
from tables.top import TopWords

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from faust.types import StoreT

    from app.counting.partials import WindowCounts
    from app.counting.windows import Windows
    from app.memory import MemoryBudget
    from tables.checkpoint import Change
    from tables.databases import Databases

__all__ = ["WordCounts"]

MAX_TOPS = 64
"""Windows of a partition whose top words are kept at most; those of others are read again."""

SPARE_TOPS = 16
"""Windows whose top words are kept beside those that are open, for each partition."""

TOP_SCAN_ROWS = 50_000
"""Rows of a window that are decoded at once to find its top words."""


class WordCounts(faust.Table[bytes, bytes]):
    """The table: RocksDB below, its changelog in Kafka, and the state of owned partitions."""

    logger = logging.getLogger("faust.tables")  # the name that Faust's own tables log under

    def __init__(
        self,
        app: faust.App,
        windows: Windows,
        source: str,
        memory_budget: MemoryBudget,
        **options: Any,
    ) -> None:
        self.memory_budget = memory_budget
        # Faust's event is a block here, so few are enough. Not one: with a recovery buffer of one
        # Faust would keep reading the changelog of an owned partition after its recovery.
        super().__init__(
            app,
            key_type=bytes,
            value_type=bytes,
            recovery_buffer_size=2,
            standby_buffer_size=1,
            **options,
        )
        self.windows = windows
        self.source = source
        self.owned: dict[int, PartitionState] = {}
        self.row_quota = RowQuota(memory_budget.dirty_rows, self.dirty_cost)

    def _new_store(self) -> StoreT[bytes, bytes]:
        return CountStore(self.app, self, self.memory_budget.rocksdb)

    @property
    def store(self) -> CountStore:
        """The store that recovers the databases."""
        return cast("CountStore", self.data)

    @property
    def databases(self) -> Databases:
        """The rows of all partitions of this worker, in RocksDB."""
        return self.store.databases

    # Changes: each step runs in a thread, one at a time for each partition

    def merge(
        self,
        partition: int,
        deltas: Iterable[WindowCounts],
        watermarks: Mapping[int, int],
        active_sources: Iterable[int] = (),
    ) -> Change:
        """Prepare the change that adds `deltas` (several a window) to the partition's rows.

        `watermarks` come with the deltas; `active_sources` is as in `Pending`.
        """
        read = partial(self.databases.read, partition)
        state = self.owned[partition]
        return prepare_change(state, self.windows, read, deltas, watermarks, active_sources)

    def apply(self, partition: int, change: Change, offset: int) -> None:
        """Apply a change whose transaction has committed, at `offset` of the changelog."""
        state = self.owned[partition]
        with state.changing():
            # The store comes first: an error of it leaves the state in memory as it was.
            self.databases.write(partition, change.puts, offset)
            state.dirty.begin_version(change.version)
            state.active_at.update(dict.fromkeys(change.active_sources, time.monotonic()))
            state.watermarks = change.watermarks
            for window in change.windows:
                state.totals[window.start] = window.totals
                versioned = ((count, change.version) for count in window.counts.tolist())
                state.dirty.add(window.keys, versioned)
                top = state.tops.get(window.start)
                if top is not None:
                    top.update(window.words, window.counts)

    # Ownership

    async def load(self, partitions: Iterable[int]) -> None:
        """Take over recovered partitions: read the state of each from the store."""
        for partition in partitions:
            self.owned[partition] = await in_thread(partial(self._loaded, partition))

    def _loaded(self, partition: int) -> PartitionState:
        stored = self.databases.read(partition, [rows.FLUSHED, rows.WATERMARKS, rows.EXPIRED])
        flushed = rows.decode_number(stored[0])
        watermarks = {int(s): mark for s, mark in json.loads(stored[1] or b"{}").items()}
        prefixes = list(self.databases.prefixes(partition))
        totals = {
            self.windows.start_of(prefix): rows.decode_totals(row)
            for prefix, row in zip(prefixes, self.databases.read(partition, prefixes), strict=True)
            if row is not None
        }
        # Windows are removed once Cassandra has them, and the newest version may have gone with the
        # last of them. It is not above the flushed one, which stays.
        version = max([flushed, *(of_window.version for of_window in totals.values())])
        lacking = [start for start, of_window in totals.items() if of_window.version > flushed]
        inherited = InheritedDirtyRows(partial(self.rows_of, partition), lacking, flushed)
        return PartitionState(
            dirty=DirtyRows(version, flushed, inherited),
            totals=totals,
            watermarks=watermarks,
            active_at=dict.fromkeys(watermarks, time.monotonic()),
            expired=rows.decode_number(stored[2], NO_WATERMARK),
        )

    async def forget(self) -> None:
        """Release all partitions: the group rebalances. Waits for changes under way."""
        owned, self.owned = self.owned, {}
        for state in owned.values():
            await in_thread(state.close)

    # Dirty rows

    def dirty_count(self) -> int:
        """Number of rows that Cassandra lacks, those in flight to it among them."""
        return sum(len(state.dirty) for state in self.owned.values())

    def dirty_cost(self) -> int:
        """Number of rows of ordinary length that take as much memory as the dirty rows do."""
        return sum(state.dirty.cost for state in self.owned.values())

    # Questions about the partitions that this worker owns

    def top(self, start: int, n: int) -> list[tuple[str, int]]:
        """The first `n` (at most 1000) words of a window over all owned partitions."""
        found: list[tuple[str, int]] = []
        for partition, state in list(self.owned.items()):
            if start in state.totals:
                with state.lock:
                    found.extend(self._top(partition, state, start).first(n))
        return sorted(found, key=lambda item: (-item[1], item[0]))[:n]

    def top_of(self, partition: int, start: int, n: int) -> tuple[int, list[tuple[str, int]]]:
        """The version of a partition, and the first `n` words of a window in it."""
        state = self.owned[partition]
        with state.lock:
            return state.version, self._top(partition, state, start).first(n)

    def word(self, partition: int, word: str) -> list[tuple[int, int]]:
        """(window start, count) of a word in its partition, newest window first."""
        starts = sorted(self.owned[partition].totals, reverse=True)
        encoded = word.encode()
        found = self.databases.read(
            partition, [self.windows.key(start, encoded) for start in starts]
        )
        return [
            (start, rows.decode_row(row)[0])
            for start, row in zip(starts, found, strict=True)
            if row is not None
        ]

    def totals(self) -> dict[int, tuple[int, int]]:
        """Words and distinct words of each window over all owned partitions."""
        found: dict[int, tuple[int, int]] = {}
        for state in list(self.owned.values()):
            for start, of_window in list(state.totals.items()):
                words, distinct = found.get(start, (0, 0))
                found[start] = (words + of_window.words, distinct + of_window.distinct)
        return found

    def rows_of(
        self, partition: int, start: int, after: bytes = b""
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of a window's words, in order of the words; those after a key, if given.

        The least key after another is that one with a zero byte.
        """
        # The window's own row, its bare prefix, sorts before those of its words.
        first = after or self.windows.prefix(start)
        return self.databases.scan(partition, first + b"\0", self.windows.prefix(start + 1))

    def _top(self, partition: int, state: PartitionState, start: int) -> TopWords:
        top = state.tops.pop(start, None)
        if top is None:
            top = TopWords()
            found = self.rows_of(partition, start)
            while some := list(islice(found, TOP_SCAN_ROWS)):
                words = [key[rows.PREFIX_BYTES :].decode() for key, _ in some]
                top.update(words, rows.decode_counts([value for _, value in some]))
            while len(state.tops) >= min(self.windows.open_windows + SPARE_TOPS, MAX_TOPS):
                del state.tops[next(iter(state.tops))]
        state.tops[start] = top  # a dict keeps order: the window of the latest question is the last
        return top
