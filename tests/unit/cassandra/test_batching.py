"""Rows into batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from app.cassandra.batching import Batcher

if TYPE_CHECKING:
    from app.cassandra.batching import RowBatch

items = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 200)), max_size=300)
"""(group, size) of each item; the item itself is its place."""


def batches_of(
    groups: list[tuple[int, int]], max_rows: int | None, max_bytes: int, max_open: int
) -> list[RowBatch[int]]:
    batcher: Batcher[int] = Batcher(max_rows=max_rows, max_bytes=max_bytes, max_open=max_open)
    added = (batcher.add(group, place, size) for place, (group, size) in enumerate(groups))
    return [*(batch for batch in added if batch is not None), *batcher.drain()]


@given(items, st.one_of(st.none(), st.integers(1, 20)), st.integers(1, 500), st.integers(1, 12))
def test_every_item_is_in_exactly_one_batch(
    groups: list[tuple[int, int]], max_rows: int | None, max_bytes: int, max_open: int
) -> None:
    """No item is lost or doubled, whatever the limits."""
    batches = batches_of(groups, max_rows, max_bytes, max_open)
    assert sorted(item for batch in batches for item in batch.items) == list(range(len(groups)))


@given(items, st.one_of(st.none(), st.integers(1, 20)), st.integers(1, 500), st.integers(1, 12))
def test_batches_keep_to_their_limits(
    groups: list[tuple[int, int]], max_rows: int | None, max_bytes: int, max_open: int
) -> None:
    """A batch has one group and the sum of its sizes; only a single item may exceed the limit."""
    for batch in batches_of(groups, max_rows, max_bytes, max_open):
        assert batch.items
        assert len({groups[item][0] for item in batch.items}) == 1
        assert batch.size == sum(groups[item][1] for item in batch.items)
        assert len(batch.items) <= (max_rows or len(groups))
        assert batch.size <= max_bytes or len(batch.items) == 1


@given(items, st.integers(1, 12))
def test_no_more_batches_are_open_than_allowed(
    groups: list[tuple[int, int]], max_open: int
) -> None:
    """The number of open batches never exceeds the buffer."""
    batcher: Batcher[int] = Batcher(max_rows=None, max_bytes=10_000, max_open=max_open)
    for place, (group, size) in enumerate(groups):
        batcher.add(group, place, size)
    assert len(list(batcher.drain())) <= max_open


def test_a_full_buffer_returns_the_oldest_batch() -> None:
    """The batch that was opened first leaves the buffer for a new group."""
    batcher: Batcher[str] = Batcher(max_rows=None, max_bytes=100, max_open=2)
    assert batcher.add("a", "a1", 1) is None
    assert batcher.add("b", "b1", 1) is None
    assert batcher.add("a", "a2", 1) is None
    out = batcher.add("c", "c1", 1)
    assert out is not None
    assert out.items == ["a1", "a2"]


def test_a_batch_never_holds_more_than_the_protocol_allows() -> None:
    """Without a limit of rows the protocol's 65,535 statements are the limit."""
    sizes = [len(b.items) for b in batches_of([(0, 0)] * 70_000, None, 1, 1)]
    assert sizes == [65_535, 4_465]
