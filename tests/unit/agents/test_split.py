"""The agent `split`: the watermark that it commits with the offset, and the partial counts."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import TopicPartition

from agents import splitting
from agents.split import Splitter
from app.counting.partials import pack, unpack
from app.counting.windows import NO_WATERMARK, Windows
from app.kafka.blocks import Batch, Block
from app.kafka.records import Records
from app.metrics import Metrics
from app.settings import Settings

if TYPE_CHECKING:
    from app.counting.partials import WindowCounts
    from app.kafka.producer import PartitionRecords

MINUTE = 60_000
LINES = TopicPartition("lines", 0)


class FakeTask:
    """A task that returns blocks one by one, and keeps the topics and metadata of commits."""

    def __init__(self, blocks: list[Block], metadata: str) -> None:
        self.blocks = blocks
        self.metadata = metadata
        self.topics: list[str] = []
        self.marks: list[str] = []

    async def take(self) -> list[Block] | None:
        """The next block; None after the last."""
        return [self.blocks.pop(0)] if self.blocks else None

    async def gather(self, seconds: float) -> None:
        """Wait for nothing: all blocks are there."""

    async def commit(self, records: list[PartitionRecords], offset: int, metadata: str) -> None:
        """Keep the topics of the records, and the metadata."""
        self.topics += [target.partition.topic for target in records]
        self.marks.append(metadata)


def block(offset: int, timestamp: int) -> Block:
    """One message."""
    record = SimpleNamespace(
        offset=offset, timestamp=timestamp, key=None, value=b"word", headers=()
    )
    return Block.of(LINES, [Batch(offset, offset + 1, Records.of([record]))], 1, offset + 1)


async def split(task: FakeTask) -> FakeTask:
    """Run the agent's work over a task."""
    settings = Settings.read({})
    windows = Windows(MINUTE, None, MINUTE, 24 * 60 * MINUTE)
    typed: Any = task
    await Splitter(settings, windows, Metrics()).split_lines(typed)
    return task


@pytest.mark.parametrize(("metadata", "topic"), [("", "partials"), (str(9 * MINUTE), "late")])
async def test_the_committed_watermark_decides_whether_the_first_line_after_a_restart_is_late(
    metadata: str, topic: str
) -> None:
    """A line that was late before a restart is late after it, though no other came before it."""
    task = await split(FakeTask([block(7, 5 * MINUTE)], metadata))
    assert task.topics == [f"wordcount-{topic}"]


async def test_the_watermark_is_committed_with_the_offset() -> None:
    """It is the newest timestamp so far, and a line out of order does not move it back."""
    task = await split(FakeTask([block(0, 5 * MINUTE), block(1, 9 * MINUTE), block(2, MINUTE)], ""))
    assert task.marks == [str(5 * MINUTE), str(9 * MINUTE), str(9 * MINUTE)]


def test_windows_are_packed_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of many windows are packed some windows at a time, and no window is missing."""
    hops = Windows(3 * MINUTE, MINUTE, MINUTE, 24 * 60 * MINUTE)
    lines = [block(number, number * MINUTE) for number in range(20)]
    packed: list[int] = []

    def pack_some(counted: list[WindowCounts], *more: int) -> list[list[bytes]]:
        packed.append(len(counted))
        return pack(counted, *more)

    monkeypatch.setattr(splitting, "pack", pack_some)
    monkeypatch.setattr(splitting, "PACKED_ROWS", 5)
    done = splitting.split_blocks(lines, NO_WATERMARK, hops, Settings.read({}))
    counted = Counter(
        (start, word)
        for messages in done.partials
        for message in messages
        for start, words, counts in unpack(message).windows
        for word, count in zip(words.to_pylist(), counts.to_pylist(), strict=True)
        for _ in range(count)
    )
    assert counted == Counter(
        (start, "word") for at in range(20) for start in hops.starts_of(at * MINUTE)
    )
    assert done.tally.words == 60
    assert packed == [5, 5, 5, 5, 2]
