"""One flush batch: dirty rows of all owned partitions, as plain tuples, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rocksdict import DbClosedError

from tables.rows import PREFIX_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from app.counting.windows import Windows
    from tables.dirty_rows import RowsByKey
    from tables.partition import PartitionState
    from tables.word_counts import WordCounts

__all__ = ["BATCH_ROWS", "ChangedCount", "FlushBatch", "TopList", "changed_counts", "top_list"]

BATCH_ROWS = 50_000
"""Maximum cost of the rows in flight to Cassandra; a row of ordinary length costs 1."""


class ChangedCount(NamedTuple):
    """The absolute count of a word in a window, and the version (µs) that changed it last."""

    window_start: int
    word: str
    count: int  # type: ignore[assignment]  # hides tuple.count, which has no use here
    version: int


class TopList(NamedTuple):
    """The top words (word, count) of a window in one partition, at a version (µs)."""

    partition: int
    window_start: int
    version: int
    words: list[tuple[str, int]]


class _Taken(NamedTuple):
    """The rows that were taken of one partition."""

    partition: int
    state: PartitionState
    rows: RowsByKey


class FlushBatch:
    """A slice of the dirty rows of all owned partitions: `take` it, then `acknowledge` it."""

    def __init__(self, table: WordCounts, limit: int = BATCH_ROWS) -> None:
        self._table = table
        self._windows = table.windows
        # The partition that has waited longest comes first. Otherwise partitions that change all
        # the time would fill every batch.
        self._owned = dict(sorted(table.owned.items(), key=lambda item: item[1].dirty.flushed))
        self._limit = limit
        self._taken: list[_Taken] = []

    def take(self) -> list[ChangedCount]:
        """Put the rows in flight and return their absolute counts; heavy, for a thread."""
        left = self._limit
        for partition, state in self._owned.items():
            try:
                rows = state.take_dirty(left)
            except DbClosedError:
                if self._table.owned.get(partition) is state:
                    raise
                continue  # the next owner flushes the partition
            self._taken.append(_Taken(partition, state, rows))
            left -= state.dirty.in_flight_cost
            if left <= 0:
                break
        return [
            changed
            for taken in self._taken
            for changed in changed_counts(self._windows, taken.rows)
        ]

    def top_lists(self, n: int) -> list[TopList]:
        """Return the top `n` words of each window with rows here, by partition; for a thread."""
        found = (
            self._top_list(taken, self._windows.start_of(prefix), n)
            for taken in self._taken
            for prefix in dict.fromkeys(key[:PREFIX_BYTES] for key in taken.rows)
        )
        return [of_window for of_window in found if of_window is not None]

    def acknowledge(
        self, rows: Iterable[tuple[int, str]], lists: Collection[tuple[int, int]] = ()
    ) -> None:
        """Mark the batch as flushed, but not what Cassandra lacks, which goes again.

        It lacks `rows` (window start, word) and the top words of `lists` (partition, window start).
        """
        # The rows come without their partitions, but each key is among the rows of one partition
        # only.
        keys = {self._windows.key(start, word.encode()) for start, word in rows}
        for taken in self._taken:
            missing = {key: taken.rows[key] for key in keys & taken.rows.keys()}
            missing |= self._one_of_each(taken, lists)
            taken.state.acknowledge(missing)

    def put_back(self) -> None:
        """Mark all rows of the batch as dirty again: the flush broke off."""
        for taken in self._taken:
            taken.state.acknowledge(taken.rows)

    @property
    def more(self) -> bool:
        """Whether rows of the present passes are left."""
        return any(state.dirty.in_pass for state in self._owned.values())

    def _top_list(self, taken: _Taken, start: int, n: int) -> TopList | None:
        try:
            return top_list(self._table, taken.partition, start, n)
        except Exception:
            if self._table.owned.get(taken.partition) is taken.state:
                raise
            return None  # the partition has gone, and its new owner flushes all of this again

    def _one_of_each(self, taken: _Taken, lists: Collection[tuple[int, int]]) -> RowsByKey:
        """Pick one row of each window whose list is missing: that row brings the list again."""
        prefixes = {
            self._windows.prefix(start)
            for partition, start in lists
            if partition == taken.partition
        }
        found: dict[bytes, bytes] = {}
        for key in taken.rows if prefixes else ():
            if key[:PREFIX_BYTES] in prefixes:
                found.setdefault(key[:PREFIX_BYTES], key)
        return {key: taken.rows[key] for key in found.values()}


def changed_counts(windows: Windows, rows: RowsByKey) -> Iterator[ChangedCount]:
    """Decode the keys of rows (count, version)."""
    # Rows come window by window, so most prefixes equal the last one and need no decoding.
    prefix, start = b"", 0
    for key, (count, version) in rows.items():
        if key[:PREFIX_BYTES] != prefix:
            prefix = key[:PREFIX_BYTES]
            start = windows.start_of(prefix)
        yield ChangedCount(start, key[PREFIX_BYTES:].decode(), count, version)


def top_list(table: WordCounts, partition: int, start: int, n: int) -> TopList:
    """Return the top `n` words of a window in a partition."""
    version, words = table.top_of(partition, start, n)
    return TopList(partition, start, version, words)
