"""The consumer of blocks: it keeps nothing that only a commit of Faust's would release."""

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
    """A consumer without a broker, with only the state that it keeps of messages."""
    made = object.__new__(BlockConsumer)
    made._gap, made._committed_offset = defaultdict(IntervalTree), defaultdict(lambda: None)
    return made


async def test_no_agent_acks_its_blocks() -> None:
    """Faust would keep acked blocks until its own commit, which never comes."""
    topics = [agent.channel for agent in create_app({}).agents.values()][:2]
    assert [topic.get_topic_name() for topic in topics] == ["lines", "wordcount-partials"]
    assert not any(topic.acks for topic in topics)


async def test_faust_holds_no_records_of_a_taken_block() -> None:
    """Faust holds the last message of a stream; its records are released with the taken block."""
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
    """Faust sees one offset of a block, and does not note the others as missing."""
    await consumer._add_gap(LINES, 0, 9)
    assert not consumer._gap


async def test_a_block_that_faust_has_no_place_for_is_fetched_again(
    consumer: BlockConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block that comes between two assignments raises no error, and is not lost."""
    given_back = []

    async def deliver(message: Any) -> None:
        raise KeyError(message.tp)

    async def give_back(*block: Any) -> None:
        given_back.append(block)

    consumer._deliver = deliver
    monkeypatch.setattr(consumer, "_give_back", give_back)
    message: Any = consumer._as_message(
        LINES, Block(LINES.topic, 0, 4, 10, Records.of(()), 1, 10, 0)
    )
    await consumer._deliver_or_give_back(message)
    assert given_back == [(LINES, 4, 10)]


async def test_a_seek_skips_partitions_that_a_rebalance_has_taken(
    consumer: BlockConsumer,
) -> None:
    """Partitions without an offset or outside the assignment are left to the next recovery."""
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
