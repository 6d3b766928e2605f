"""Tasks: blocks in any order and any overlap, every offset once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from app.kafka.blocks import Batch, Block
from app.kafka.offset_loss import (
    OffsetLossError,
    OffsetRange,
    refuse_lost_rows,
    refuse_offset_loss,
    refuse_recreated_topic,
)
from app.kafka.records import Records
from app.kafka.task import PartitionTask

if TYPE_CHECKING:
    from aiokafka.structs import OffsetAndMetadata

SOURCE = TopicPartition("lines", 0)
END = 12


def task(start: int = 0) -> PartitionTask:
    """A task that starts at an offset; nothing here commits."""
    position: OffsetAndMetadata = SimpleNamespace(offset=start, metadata="")
    writer: Any = SimpleNamespace(position=position)
    return PartitionTask(SOURCE, writer, start)


def block(first: int, end: int, topic_end: int = END) -> Block:
    """A block of the offsets from `first` up to and without `end`."""
    records = [
        SimpleNamespace(offset=offset, timestamp=0, key=None, value=b"word", headers=())
        for offset in range(first, end)
    ]
    return Block.of(SOURCE, [Batch(first, end, Records.of(records))], 1, topic_end)


async def read(blocks: list[Block], start: int) -> tuple[list[int], list[bool]]:
    """The offsets that a task hands over, and its answers."""
    own, found, answers = task(start), [], []
    for given_block in blocks:
        before = own.next_offset
        answers.append(await own.put(given_block))
        # Without a queued block, `take` would wait.
        for taken in (await own.take() or ()) if own.next_offset > before else ():
            found.extend(taken.records.offsets.tolist())
    return found, answers


ranges = st.tuples(st.integers(0, END - 1), st.integers(1, 5)).map(
    lambda at: (at[0], min(END, sum(at)))
)


@settings(deadline=None)
@given(st.lists(ranges, max_size=20), st.integers(0, END))
def test_offsets_come_once_and_in_order_whatever_is_fetched(
    fetched: list[tuple[int, int]], start: int
) -> None:
    """Blocks that overlap are cut, those done are dropped, those beyond a hole are not taken."""
    found, answers = asyncio.run(read([block(*offsets) for offsets in fetched], start))
    assert found == list(range(start, start + len(found)))
    expected = start
    for (first, end), taken in zip(fetched, answers, strict=True):
        assert taken == (first <= expected)
        expected = max(expected, end) if taken else expected


def test_a_block_of_a_shorter_topic_is_not_taken_for_one_that_was_done() -> None:
    """A topic that ends before the offset that was read is another topic."""
    assert asyncio.run(read([block(0, 3, topic_end=3)], 8)) == ([], [False])
    with pytest.raises(OffsetLossError, match="ends at offset 3, but was read up to 8"):
        refuse_recreated_topic(SOURCE, 8, 3)
    refuse_recreated_topic(SOURCE, 8, 8)


def test_partial_counts_that_are_gone_name_their_offsets() -> None:
    """The line says which offsets, of which topic, and what to do."""
    with pytest.raises(
        OffsetLossError, match=r"topic lines, partition 0: offsets 3 to 7 are gone .*"
    ):
        refuse_offset_loss(SOURCE, 3, 8)


@pytest.mark.parametrize(
    ("stored", "offsets", "read", "lost"),
    [
        (None, OffsetRange(0, 0), 0, False),  # a first start
        (None, OffsetRange(0, 9), 5, False),
        (8, OffsetRange(0, 9), 5, False),
        (None, OffsetRange(3, 9), 5, True),
        (1, OffsetRange(3, 9), 5, True),
        (2, OffsetRange(3, 9), 5, False),
        (None, OffsetRange(0, 0), 5, True),  # recreated
        (8, OffsetRange(9, 9), 5, False),
        (None, OffsetRange(9, 9), 5, True),
    ],
)
def test_a_changelog_that_lacks_rows_is_refused(
    stored: int | None, offsets: OffsetRange, read: int, lost: bool
) -> None:
    """Rows that neither the local copy nor the changelog holds are counts that are lost."""
    if lost:
        with pytest.raises(OffsetLossError, match="counts are lost"):
            refuse_lost_rows(SOURCE, stored, offsets, read)
    else:
        refuse_lost_rows(SOURCE, stored, offsets, read)
