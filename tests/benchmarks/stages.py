"""Measures each step of the job alone in one process: the cost of a line and of a row.

The floor is the rate of a plain consumer: aiokafka's `getmany` and a `collections.Counter`, without
windows, partitions, state or any guarantee.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.cassandra_rows import count_rows
from agents.splitting import split_blocks
from app import create_app
from app.cassandra.connecting import connect
from app.cassandra.schema import apply
from app.cassandra.sink import CassandraSink
from app.counting.partials import WindowCounts, pack, unpack
from app.counting.text import count_words
from app.counting.windows import NO_WATERMARK, Windows
from app.kafka.blocks import AS_BATCHES, Block
from app.kafka.offsets import CommittedOffsets
from app.kafka.producer import PartitionRecords, Record, TransactionalProducer
from app.kafka.topics import ensure_topics
from app.settings import Settings
from tables.flush_batch import FlushBatch
from tables.partition import PartitionState
from tests.benchmarks.display import progress_bar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from rich.console import Console

    from tables.checkpoint import Change
    from tables.rows import Put
    from tables.word_counts import WordCounts
    from tests.benchmarks.measure import Job

__all__ = ["Rate", "measure_stages"]

STEPS = 13
LINES = 400_000
"""Lines for the stages that use the results of earlier stages: held in memory."""

CHECKPOINT_BLOCKS = 6
"""Blocks per checkpoint, as at 100,000 lines/s in 4 partitions."""


class Rate(NamedTuple):
    """The rate of a stage."""

    name: str
    per_s: float
    unit: str


def measure_stages(job: Job, console: Console) -> list[Rate]:
    """Measure every stage on the job's topic; Kafka and Cassandra must run."""
    with progress_bar(console, "stages of this app, each alone", STEPS) as advance:
        rates: list[Rate] = []

        def add(name: str, count: int, seconds: float, unit: str = "lines/s") -> None:
            rates.append(Rate(name, round(count / seconds), unit))
            advance(len(rates))

        asyncio.run(_measure(job, add))
    return rates


async def _measure(job: Job, add: Callable[..., None]) -> None:
    await _fetching(job, add)
    blocks = [block async for block in _blocks(job, min(LINES, job.text.total))]
    partials = _counting(job, blocks, add)
    await _keeping(job, partials, add)


# Fetching


async def _fetching(job: Job, add: Callable[..., None]) -> None:
    counts: Counter[bytes] = Counter()

    def count(values: list[bytes]) -> None:
        counts.update(b" ".join(values).split())

    await _records(job, lambda _: None)  # warm up the broker's compiler
    add("fetch records (getmany)", *await _records(job, lambda _: None))
    add("floor: getmany + Counter", *await _records(job, count))
    began, lines = time.perf_counter(), 0
    async for block in _blocks(job):
        lines += len(block.records)
    add("fetch blocks", lines, time.perf_counter() - began)
    settings, windows = Settings.read(job.settings), Windows(60_000, None, 60_000, 86_400_000)
    began, lines = time.perf_counter(), 0
    async for block in _blocks(job):
        split_blocks([block], NO_WATERMARK, windows, settings)
        lines += len(block.records)
    add("fetch blocks + split and pack", lines, time.perf_counter() - began)


async def _records(job: Job, work: Callable[[list[bytes]], None]) -> tuple[int, float]:
    async with _consumer(job) as consumer:
        began, lines = time.perf_counter(), 0
        while lines < job.text.total:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                work([record.value for record in records])
                lines += len(records)
        return lines, time.perf_counter() - began


async def _blocks(job: Job, most: int | None = None) -> AsyncIterator[Block]:
    """Yield blocks of the job's topic, as the application's transport makes them."""
    async with _consumer(job, value_deserializer=AS_BATCHES) as consumer:
        lines = 0
        while lines < (most or job.text.total):
            for tp, batches in (await consumer.getmany(timeout_ms=500)).items():
                block = Block.of(tp, batches, 0, batches[-1].next)
                lines += len(block.records)
                yield block


def _consumer(job: Job, **more: Any) -> AIOKafkaConsumer:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=job.kafka.address,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_partition_fetch_bytes=1 << 20,
        enable_auto_commit=False,
        **more,
    )
    consumer.assign([TopicPartition(job.topic, number) for number in range(job.partitions)])
    return consumer


# Counting


def _counting(job: Job, blocks: list[Block], add: Callable[..., None]) -> list[list[bytes]]:
    """Time the steps of `split` on each block; return the messages for partition 0, by block."""
    lines = sum(len(block.records) for block in blocks)
    values = [block.records.values for block in blocks]
    began = time.perf_counter()
    counted = [count_words(block, "whitespace") for block in values]
    add("count words", lines, time.perf_counter() - began)
    began = time.perf_counter()
    packed = [
        pack([WindowCounts(job.text.started_ms, *words)], job.partitions, 0, 0) for words in counted
    ]
    add("pack partial counts", lines, time.perf_counter() - began)
    began = time.perf_counter()
    for messages in (message for block in packed for owner in block for message in owner):
        unpack(messages)
    add("unpack partial counts", lines, time.perf_counter() - began)
    return [block[0] for block in packed]


# State


async def _keeping(job: Job, partials: list[list[bytes]], add: Callable[..., None]) -> None:
    environ = job.settings
    app = create_app(environ)
    app.conf.datadir = job.folder / "stages"
    settings, table = app.settings, app.table
    await ensure_topics(settings)
    table.owned[0] = PartitionState()
    changelog = TopicPartition(settings.changelog, 0)
    offsets = CommittedOffsets(settings.id, settings.broker)
    writer = TransactionalProducer(
        f"{settings.id}-stages", TopicPartition(job.topic, 0), settings.id, settings.broker, offsets
    )
    await writer.open()
    spent: defaultdict[str, float] = defaultdict(float)
    rows = 0
    try:
        for number, deltas in groupby(
            enumerate(partials), lambda item: item[0] // CHECKPOINT_BLOCKS
        ):
            windows = [
                window for _, messages in deltas for m in messages for window in unpack(m).windows
            ]
            change = _timed(spent, "merge", partial(table.merge, 0, windows, {0: 0}))
            began = time.perf_counter()
            records = [Record(key, value) for key, value in change.puts]
            written = await writer.commit([PartitionRecords(changelog, records)], number + 1)
            spent["transaction"] += time.perf_counter() - began
            _apply(spent, table, change, written[changelog])
            rows += change.size
    finally:
        await writer.close()
        await offsets.close()
    add("merge + RocksDB get", rows, spent["merge"], "rows/s")
    add("changelog batch + transaction", rows, spent["transaction"], "rows/s")
    add("RocksDB write", rows, spent["write"], "rows/s")
    add("apply a change (RocksDB write and dirty rows)", rows, spent["apply"], "rows/s")
    began = time.perf_counter()
    flushed = count_rows(FlushBatch(table, rows).take(), table.windows)
    made = time.perf_counter() - began
    add("make rows for Cassandra", len(flushed), made, "rows/s")
    async with await connect(settings) as session:
        await apply(session, settings)
    sink = CassandraSink(settings)
    await sink.open()
    await sink.write(flushed)  # warm up the server's compiler
    again = [row._replace(timestamp_us=row.timestamp_us + 1) for row in flushed]
    began = time.perf_counter()
    await sink.write(again)
    add("flush to Cassandra", len(again), time.perf_counter() - began, "rows/s")
    await sink.close()
    table.databases.close(0)


def _timed(spent: defaultdict[str, float], name: str, step: Callable[[], Any]) -> Any:
    began = time.perf_counter()
    result = step()
    spent[name] += time.perf_counter() - began
    return result


def _apply(spent: defaultdict[str, float], table: WordCounts, change: Change, offset: int) -> None:
    databases = table.databases
    write = databases.write

    def timed_write(partition: int, puts: Iterable[Put], offset: int) -> None:
        _timed(spent, "write", partial(write, partition, puts, offset))

    databases.write = timed_write  # type: ignore[method-assign]  # the measured step
    try:
        _timed(spent, "apply", lambda: table.apply(0, change, offset))
    finally:
        databases.write = write  # type: ignore[method-assign]  # as it was
