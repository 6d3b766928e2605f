"""The table word_counts: how often each word occurs in each window.

Each partition's rows are changed by one worker only, the one whose task counts it. A change is
prepared (`merge`), written to the changelog by the task's transaction, then applied here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import faust
import numpy as np

from app.counting.pairs import MAX_SEPARATE_SETS, sum_pairs
from app.counting.partials import by_window, join_words
from app.counting.text import merge_counts
from app.counting.windows import NO_WATERMARK
from app.threads import in_thread
from tables import rows
from tables.partition import Partition
from tables.rows import WindowTotals
from tables.store import CountStore
from tables.top import TopWords
from tables.unflushed import InheritedDirtyRows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

    from faust.types import StoreT

    from app.counting.partials import WindowCounts
    from app.counting.windows import Windows
    from app.memory import MemoryBudget
    from tables.store import Put

__all__ = ["Change", "WindowChange", "WordCounts"]

MOST_TOPS = 64
"""Windows of a partition whose top words are kept at the most; of others they are sought anew."""

SCAN_ROWS = 50_000
"""Rows of a window that are looked at at once."""

SPARE_TOPS = 16
"""Windows whose top words are kept beside those that are open, for each partition."""


class WindowChange(NamedTuple):
    """Rows of one window that a checkpoint changes: `words`, new absolute `counts`, their keys."""

    start: int
    keys: list[bytes]
    words: Any
    counts: np.ndarray[Any, Any]
    totals: WindowTotals


@dataclass(slots=True)
class Change:
    """What one checkpoint changes in one partition.

    `puts` is what goes to changelog and store, `heard` are the source partitions that had a part in
    it with more than far-future times, `refused` counts words whose window has expired.
    """

    version: int
    windows: list[WindowChange]
    sources: dict[int, int]
    puts: list[Put]
    heard: frozenset[int] = frozenset()
    refused: int = 0

    @property
    def size(self) -> int:
        """Changed rows of words."""
        return sum(len(window.keys) for window in self.windows)


class WordCounts(faust.Table[bytes, bytes]):
    """The table: RocksDB below, its changelog in Kafka, and what the owner keeps in memory."""

    logger = logging.getLogger("faust.tables")  # what it says as a Faust service

    def __init__(
        self, app: faust.App, windows: Windows, source: str, shares: MemoryBudget, **options: Any
    ) -> None:
        # Faust's event is a block here, so few are enough. Not one: then Faust would go on reading
        # the changelog of a partition that is owned, after its recovery.
        self.shares = shares
        super().__init__(
            app,
            key_type=bytes,
            value_type=bytes,
            recovery_buffer_size=2,
            standby_buffer_size=1,
            **options,
        )
        self.ranges = windows
        self.source = source
        self.owned: dict[int, Partition] = {}
        self._next = asyncio.Lock()
        self._room = asyncio.Event()
        self._coming = 0

    def _new_store(self) -> StoreT[bytes, bytes]:
        return CountStore(self.app, self, self.shares.rocksdb)

    @property
    def store(self) -> CountStore:
        """The RocksDB store."""
        return cast("CountStore", self.data)

    # Changes: each step runs in a thread, one at a time for each partition

    def merge(
        self,
        partition: int,
        deltas: Iterable[WindowCounts],
        sources: Mapping[int, int],
        heard: Iterable[int] = (),
    ) -> Change:
        """Prepare the change that adds `deltas` (several a window) to the partition's rows.

        `sources` are the watermarks that come with them, `heard` is as in `Pending`.
        """
        own = self.owned[partition]
        version = max(time.time_ns() // 1000, own.version + 1)
        parts = by_window(deltas)
        refused = 0
        for start in [start for start in parts if start < own.expired]:
            refused += sum(int(counts.to_numpy().sum()) for _, counts in parts.pop(start))
        windows = list(
            self._merge_windows(partition, parts, version)
            if len(parts) > MAX_SEPARATE_SETS
            else (
                self._merge_window(partition, start, own_parts, version)
                for start, own_parts in sorted(parts.items())
            )
        )
        puts: list[Put] = []
        for window in windows:
            start = window.start
            puts.extend(zip(window.keys, rows.encode_rows(window.counts, version), strict=True))
            puts.append((self.ranges.prefix(start), rows.encode_totals(window.totals)))
        marks = {**own.sources, **{s: max(m, own.sources.get(s, m)) for s, m in sources.items()}}
        puts.append((rows.SOURCES, json.dumps(marks).encode()))
        puts.append((rows.FLUSHED, rows.encode_number(own.flushed)))
        moved = (s for s, mark in sources.items() if mark > own.sources.get(s, NO_WATERMARK))
        return Change(version, windows, marks, puts, frozenset(heard).union(moved), refused)

    def apply(self, partition: int, change: Change, offset: int) -> None:
        """Take in a change whose transaction has committed, at `offset` of the changelog."""
        own = self.owned[partition]
        with own.changing():
            self.store.write(partition, change.puts, offset)
            if own.flushed >= own.version:
                own._since = change.version  # noqa: SLF001 - the table and its partitions are one
            own.version = change.version
            own.heard.update(dict.fromkeys(change.heard, time.monotonic()))
            own.sources = change.sources
            for window in change.windows:
                own.windows[window.start] = window.totals
                stamped = ((count, change.version) for count in window.counts.tolist())
                own.add_unflushed(window.keys, stamped)
                top = own.tops.get(window.start)
                if top is not None:
                    top.update(window.words, window.counts)

    def _merge_window(
        self, partition: int, start: int, parts: list[tuple[Any, Any]], version: int
    ) -> WindowChange:
        words, counts = merge_counts(parts)
        keys = self.ranges.keys(start, words)
        found = self.store.read(partition, keys)
        added = counts.to_numpy()
        before = self.owned[partition].windows.get(start, WindowTotals(0, 0, 0))
        totals = WindowTotals(
            before.words + int(added.sum()),
            before.distinct + sum(row is None for row in found),
            version,
        )
        return WindowChange(start, keys, words, rows.decode_counts(found) + added, totals)

    def _merge_windows(
        self, partition: int, by_window: Mapping[int, list[tuple[Any, Any]]], version: int
    ) -> Iterator[WindowChange]:
        """As `_merge_window` does, for many windows at once: their rows are read in one go."""
        starts = sorted(by_window)
        parts = [(i, *part) for i, start in enumerate(starts) for part in by_window[start]]
        window_of, words, added = sum_pairs(
            np.repeat([i for i, _, _ in parts], [len(words) for _, words, _ in parts]),
            join_words([words for _, words, _ in parts]),
            np.concatenate([counts.to_numpy() for _, _, counts in parts]),
        )
        keys = self.ranges.keys_of(starts, window_of, words)
        found = self.store.read(partition, keys)
        counts = rows.decode_counts(found) + added
        new = np.array([row is None for row in found])
        known = self.owned[partition].windows
        cuts = np.searchsorted(window_of, np.arange(len(starts) + 1)).tolist()
        for start, begin, end in zip(starts, cuts, cuts[1:], strict=False):
            before = known.get(start, WindowTotals(0, 0, 0))
            totals = WindowTotals(
                before.words + int(added[begin:end].sum()),
                before.distinct + int(new[begin:end].sum()),
                version,
            )
            own_words = words.slice(begin, end - begin)
            yield WindowChange(start, keys[begin:end], own_words, counts[begin:end], totals)

    # Ownership

    async def load(self, partitions: Iterable[int]) -> None:
        """Take over recovered partitions: read what their owner keeps in memory."""
        for partition in partitions:
            self.owned[partition] = await in_thread(partial(self._loaded, partition))

    def _loaded(self, partition: int) -> Partition:
        store = self.store
        own = Partition()
        flushed, sources, expired = store.read(
            partition, [rows.FLUSHED, rows.SOURCES, rows.EXPIRED]
        )
        own.flushed = rows.decode_number(flushed)
        own.expired = rows.decode_number(expired, NO_WATERMARK)
        own.sources = {int(s): mark for s, mark in json.loads(sources or b"{}").items()}
        own.heard = dict.fromkeys(own.sources, time.monotonic())
        prefixes = list(store.prefixes(partition))
        for prefix, row in zip(prefixes, store.read(partition, prefixes), strict=True):
            if row is not None:
                own.windows[self.ranges.start_of(prefix)] = rows.decode_totals(row)
        # Windows go once Cassandra has them, and the newest version may have gone with the last.
        own.version = max([own.flushed, *(totals.version for totals in own.windows.values())])
        lacking = [start for start, of in own.windows.items() if of.version > own.flushed]
        own.begin_with(InheritedDirtyRows(partial(self.rows_of, partition), lacking, own.flushed))
        return own

    async def forget(self) -> None:
        """Own nothing any more: the group rebalances. Waits for a change that is being applied."""
        owned, self.owned = self.owned, {}
        for own in owned.values():
            await in_thread(own.close)

    # Back-pressure

    def waiting(self) -> int:
        """Rows that Cassandra lacks, those on their way to it among them."""
        return sum(own.waiting for own in self.owned.values())

    def _weight(self) -> int:
        return sum(own.weight for own in self.owned.values())

    @contextlib.asynccontextmanager
    async def room(self, rows: int) -> AsyncIterator[None]:
        """Hold room for a change of up to `rows` rows: it waits until they may be unflushed too.

        Rows of long words, those that come as those that wait, count as several each.

        All tasks share it, first come, first served; whoever waits stops reading. A change of more
        than there may ever be has it alone.
        """
        async with self._next:
            while (others := self._weight() + self._coming) and (
                others + rows > self.shares.unflushed_rows
            ):
                self._room.clear()
                await self._room.wait()
            self._coming += rows
        try:
            yield
        finally:
            self._coming -= rows
            self._room.set()

    def flushed(self) -> None:
        """Let those go on that wait for room."""
        self._room.set()

    def top_of(self, partition: int, start: int, n: int) -> tuple[int, list[tuple[str, int]]]:
        """The version of a partition, and the first `n` words of a window in it."""
        own = self.owned[partition]
        with own.lock:
            return own.version, self._top(partition, own, start).first(n)

    # Questions, of the partitions that this worker owns

    def top(self, start: int, n: int) -> list[tuple[str, int]]:
        """The first `n` (at most 1000) words of a window over all owned partitions."""
        found: list[tuple[str, int]] = []
        for partition, own in list(self.owned.items()):
            if start in own.windows:
                with own.lock:
                    found.extend(self._top(partition, own, start).first(n))
        return sorted(found, key=lambda item: (-item[1], item[0]))[:n]

    def word(self, partition: int, word: str) -> list[tuple[int, int]]:
        """(window start, count) of a word in its partition, newest window first."""
        starts = sorted(self.owned[partition].windows, reverse=True)
        encoded = word.encode()
        found = self.store.read(partition, [self.ranges.key(start, encoded) for start in starts])
        return [
            (start, rows.decode_row(row)[0])
            for start, row in zip(starts, found, strict=True)
            if row is not None
        ]

    def windows(self) -> dict[int, tuple[int, int]]:
        """Words and distinct words of each window over all owned partitions."""
        totals: dict[int, tuple[int, int]] = {}
        for own in list(self.owned.values()):
            for start, of_window in list(own.windows.items()):
                words, distinct = totals.get(start, (0, 0))
                totals[start] = (words + of_window.words, distinct + of_window.distinct)
        return totals

    def _top(self, partition: int, own: Partition, start: int) -> TopWords:
        top = own.tops.pop(start, None)
        if top is None:
            top = TopWords()
            found = self.rows_of(partition, start)
            while some := list(islice(found, SCAN_ROWS)):
                words = [key[rows.PREFIX_BYTES :].decode() for key, _ in some]
                top.update(words, rows.decode_counts([value for _, value in some]))
            while len(own.tops) >= min(self.ranges.open_windows + SPARE_TOPS, MOST_TOPS):
                del own.tops[next(iter(own.tops))]
        own.tops[start] = top  # the one asked for last stands last
        return top

    def rows_of(
        self, partition: int, start: int, after: bytes = b""
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of a window's words, in order of the words; those after a key, if given.

        The least key after another is that one with a zero byte.
        """
        # The window's own row, its bare prefix, sorts before those of its words.
        first = after or self.ranges.prefix(start)
        return self.store.scan(partition, first + b"\0", self.ranges.prefix(start + 1))
