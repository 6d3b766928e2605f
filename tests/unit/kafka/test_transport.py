"""Faust's consumer of blocks: it keeps nothing that only a commit of Faust's would let go."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP
from intervaltree import IntervalTree

from app import create_app
from app.kafka.blocks import Batch, Block
from app.kafka.records import Records
from app.kafka.transport import BlockConsumer
from app.memory import ByteQuota

LINES = TP("lines", 0)


@pytest.fixture
def consumer() -> BlockConsumer:
    """A consumer without a broker: only what it keeps of messages."""
    made = object.__new__(BlockConsumer)
    made._gap, made._committed_offset = defaultdict(IntervalTree), defaultdict(lambda: None)
    return made


async def test_no_agent_acks_its_blocks() -> None:
    """Faust keeps what is acked until it commits: of millions of blocks, in months."""
    agents = create_app({}).agents.values()
    assert {agent.name.rpartition(".")[2] for agent in agents} == {"split", "count"}
    assert not any(agent.channel.acks for agent in agents)


async def test_a_block_that_was_taken_is_held_by_nobody_else() -> None:
    """Faust holds a stream's last message: its records would take memory until the next comes."""
    record = SimpleNamespace(offset=4, timestamp=0, key=None, value=b"word", headers=())
    message = Block.of(LINES, [Batch(4, 5, Records.of([record]))], 1, 5)
    quota = ByteQuota(1)
    quota.count(message.records, message.size)
    own = message.taken()
    assert (own.first, own.next, own.records.values) == (4, 5, [b"word"])
    assert (message.first, message.next, len(message.records)) == (4, 5, 0)
    assert quota.full
    del own
    assert not quota.full


async def test_offsets_within_a_block_are_no_gap(consumer: BlockConsumer) -> None:
    """Faust sees one offset of a block and would remember the others as missing."""
    await consumer._add_gap(LINES, 0, 9)
    assert not consumer._gap


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
