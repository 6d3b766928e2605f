"""All rows are saved again, in steps, whatever happens meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rocksdict import DbClosedError

from agents import resave
from agents.resave import Resaver
from app.cassandra.results import WriteRefusedError, WriteResult
from app.counting.windows import Windows
from tables import rows
from tables.dirty_rows import DirtyRows
from tables.partition import PartitionState
from tables.rows import WindowTotals

if TYPE_CHECKING:
    from collections.abc import Iterator

WINDOWS = Windows(60_000, None, 60_000, 3_600_000)


class Table:
    """Two partitions with 25 words in each of two windows."""

    def __init__(self) -> None:
        self.windows = WINDOWS
        self.owned = {number: PartitionState(dirty=DirtyRows(9)) for number in (0, 1)}
        self.stored: dict[int, dict[bytes, bytes]] = {}
        for number, state in self.owned.items():
            state.totals = {0: WindowTotals(1, 1, 9), 60_000: WindowTotals(1, 1, 9)}
            keys = [
                WINDOWS.key(start, f"w{word:02}-{number}".encode())
                for start in state.totals
                for word in range(25)
            ]
            values = rows.encode_rows(np.arange(len(keys)), 7)
            self.stored[number] = dict(zip(keys, values, strict=True))

    def rows_of(self, partition: int, start: int, after: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Rows of a window after a key, in order."""
        stored = self.stored[partition]
        prefix = WINDOWS.prefix(start)
        return ((key, stored[key]) for key in sorted(stored) if key > after and key[:8] == prefix)

    def top_of(self, partition: int, start: int, n: int) -> tuple[int, list[tuple[str, int]]]:
        """One word."""
        return 9, [(f"top-{partition}-{start}", n)]


class Sink:
    """Takes all rows but those that a test sets it to leave."""

    def __init__(self) -> None:
        self.written: list[Any] = []
        self.left: list[int] = []
        self.calls: list[int] = []
        self.refused: str | None = None

    async def write(self, given: list[Any]) -> WriteResult:
        """Take all but the first `left` rows, and not the refused one."""
        self.calls.append(len(given))
        left = self.left.pop() if self.left else 0
        refused = [row for row in given if row.word == self.refused]
        self.written += [row for row in given[left:] if row not in refused]
        result = WriteResult(unwritten=given[:left] + refused)
        if refused:
            raise WriteRefusedError("does not fit", result, refused, only_rows=True)
        return result

    write_top = write


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resave, "STEP_ROWS", 10)
    monkeypatch.setattr(resave, "PAUSE_SECONDS", 0.0)


def saved(sink: Sink) -> set[tuple[str, int, int, int]]:
    return {(r.word, r.window_start_ms, r.count, r.timestamp_us) for r in sink.written}


def all_of(table: Table) -> set[tuple[str, int, int, int]]:
    return {
        (key[8:].decode(), WINDOWS.start_of(key), *rows.decode_row(value))
        for stored in table.stored.values()
        for key, value in stored.items()
    }


async def test_every_row_is_saved_once_in_steps() -> None:
    """Each row keeps its version; a second run saves only partitions that were not owned before."""
    table, sink = Table(), Sink()
    resaver = Resaver(table, sink)  # type: ignore[arg-type]  # stand-ins
    await resaver.save_owned()
    assert saved(sink) == all_of(table)
    assert len(sink.written) == 100
    assert max(sink.calls) == 10
    await resaver.save_owned()
    assert len(sink.written) == 100


async def test_rows_that_cassandra_does_not_take_are_retried_until_it_does() -> None:
    """Nothing is skipped in an outage."""
    table, sink = Table(), Sink()
    sink.left = [3, 10, 10]
    await Resaver(table, sink).save_owned()  # type: ignore[arg-type]  # stand-ins
    assert saved(sink) == all_of(table)


async def test_a_row_that_fits_no_column_does_not_keep_the_others_out() -> None:
    """That row is skipped, as in a flush."""
    table, sink = Table(), Sink()
    sink.refused = "w03-1"
    await Resaver(table, sink).save_owned()  # type: ignore[arg-type]  # stand-ins
    assert saved(sink) == {row for row in all_of(table) if row[0] != "w03-1"}


async def test_a_partition_that_goes_in_the_middle_of_a_step_is_left_to_its_next_owner() -> None:
    """Its store is closed under the step; the other partition is saved all the same."""
    table, sink = Table(), Sink()
    rows_of = table.rows_of

    def close(partition: int, start: int, after: bytes) -> Iterator[tuple[bytes, bytes]]:
        if partition == 0 and sink.written:
            del table.owned[0]
            table.rows_of = rows_of  # type: ignore[method-assign]  # the fault
            raise DbClosedError
        return rows_of(partition, start, after)

    table.rows_of = close  # type: ignore[method-assign]  # the fault
    await Resaver(table, sink).save_owned()  # type: ignore[arg-type]  # stand-ins
    assert {row for row in saved(sink) if row[0].endswith("-1")} == {
        row for row in all_of(table) if row[0].endswith("-1")
    }
    assert 0 < sum(row.word.endswith("-0") for row in sink.written) < 50


async def test_the_top_words_of_each_window_come_along() -> None:
    """The top words of a window follow its rows."""
    table, sink = Table(), Sink()
    await Resaver(table, sink, 5).save_owned()  # type: ignore[arg-type]  # stand-ins
    tops = [row.word for row in sink.written if row.word.startswith("top")]
    assert tops == ["top-0-0", "top-0-60000", "top-1-0", "top-1-60000"]


async def test_a_partition_that_goes_is_left_to_its_new_owner() -> None:
    """If the partition comes back, it is saved in full."""
    table, sink = Table(), Sink()
    resaver = Resaver(table, sink)  # type: ignore[arg-type]  # stand-ins
    owned, table.owned = table.owned, {}
    await resaver.save_owned()
    assert sink.written == []
    table.owned = owned
    await resaver.save_owned()
    assert saved(sink) == all_of(table)
