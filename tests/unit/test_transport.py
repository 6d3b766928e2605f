"""Faust's consumer of blocks: it keeps nothing that only a commit of Faust's would let go."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import pytest
from faust.types import TP
from intervaltree import IntervalTree

from app.kafka.blocks import Block
from app.kafka.records import Records
from app.kafka.transport import BlockConsumer

LINES = TP("lines", 0)


@pytest.fixture
def consumer() -> BlockConsumer:
    """A consumer without a broker: only what it keeps of messages."""
    made = object.__new__(BlockConsumer)
    made._acked, made._acked_index = defaultdict(list), defaultdict(set)
    made._gap, made._committed_offset = defaultdict(IntervalTree), defaultdict(lambda: None)
    made._unacked_messages, made._waiting_for_ack = WeakSet(), None
    return made


def held(consumer: BlockConsumer) -> list[Any]:
    """What Faust would keep until it commits."""
    kept = consumer._acked, consumer._acked_index, consumer._gap
    return [value for by_partition in kept for value in by_partition.values() if value]


async def test_an_acked_block_leaves_nothing_behind(consumer: BlockConsumer) -> None:
    """A worker that runs for months acks millions of blocks."""
    message = consumer._as_message(LINES, Block(LINES.topic, 0, 0, 10, Records.of(()), 1, 10, 0))
    consumer._unacked_messages.add(message)
    assert consumer.ack(message)
    assert message.acked
    assert not consumer.ack(message)
    assert not held(consumer)
    assert not consumer.unacked


async def test_offsets_within_a_block_are_no_gap(consumer: BlockConsumer) -> None:
    """Faust sees one offset of a block and would remember the others as missing."""
    await consumer._add_gap(LINES, 0, 9)
    assert not held(consumer)


async def test_a_block_that_faust_has_no_place_for_is_read_again(
    consumer: BlockConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that comes between two assignments does not end the worker, and is not lost."""
    given_back = []

    async def conduct(message: Any) -> None:
        raise KeyError(message.tp)

    async def give_back(*block: Any) -> None:
        given_back.append(block)

    consumer._conduct = conduct
    monkeypatch.setattr(consumer, "_give_back", give_back)
    message: Any = consumer._as_message(
        LINES, Block(LINES.topic, 0, 4, 10, Records.of(()), 1, 10, 0)
    )
    await consumer._hand_on(message)
    assert given_back == [(LINES, 4, 10)]


async def test_a_seek_that_a_rebalance_has_overtaken_ends_nothing(
    consumer: BlockConsumer,
) -> None:
    """What the new assignment has no offset for yet, or has not at all, is left to its recovery."""
    sought: list[Any] = []

    async def seek_wait(partitions: Any) -> None:
        sought.append(partitions)

    other, gone = TP("lines", 1), TP("lines", 2)
    thread: Any = SimpleNamespace(assignment=lambda: {LINES, other}, seek_wait=seek_wait)
    consumer._thread = thread
    partitions: Any = {LINES: 7, other: None, gone: 3}
    await consumer.seek_wait(partitions)
    partitions = {gone: 3}
    await consumer.seek_wait(partitions)
    assert sought == [{LINES: 7}]
