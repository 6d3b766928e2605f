"""Windows past retention go from the table on its RocksDB store; Kafka is not needed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from app import create_app
from app.partials import WindowCounts
from tables.expiry import apply_removal, next_removal
from tables.partition import Partition
from tables.unflushed import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tables.word_counts import WordCounts

MINUTE = 60_000
START = 30_000_000 * MINUTE


@pytest.fixture
def table(tmp_path: Path) -> Iterator[WordCounts]:
    """A table that owns one partition, with windows of a minute, kept for two."""
    application = create_app({"WORDCOUNT_RETENTION": "2m"})
    application.conf.datadir = tmp_path
    application.table.owned[0] = Partition()
    yield application.table
    application.table.store.close(0)


def add(table: WordCounts, minute: int, *words: str) -> int:
    """Count each word once in the window of a minute after START, its source's watermark."""
    start = START + minute * MINUTE
    delta = WindowCounts(start, pa.array(words, pa.string()), pa.array([1] * len(words)))
    change = table.merge(0, [delta] if words else [], {0: start})
    table.apply(0, change, 0)
    return change.version


def flush(table: WordCounts) -> list[str]:
    """Let Cassandra take all that waits; its words."""
    snapshot = Snapshot(table)
    found = [row.word for row in snapshot.rows()]
    snapshot.settle([])
    return found


def expire(table: WordCounts) -> int:
    """Remove all that is past retention; the number of steps."""
    steps = 0
    while (removal := next_removal(table, 0)) is not None:
        apply_removal(table, 0, removal, 0)
        steps += 1
    return steps


def test_versions_grow_where_all_windows_have_gone(
    table: WordCounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of an owner whose clock is behind are flushed by the next one if it crashes."""
    add(table, 0, "old")
    flush(table)
    newest = add(table, 0, "old")
    flush(table)
    table.owned[0].sources = {0: START + 10 * MINUTE}
    assert expire(table)
    assert table.windows() == {}
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now - 600 * 10**9)
    table.owned[0] = table._loaded(0)
    assert add(table, 10, "new") > newest
    table.owned[0] = table._loaded(0)
    assert flush(table) == ["new"]
