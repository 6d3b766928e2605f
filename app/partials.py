"""Partial counts on their way from `split` to `count`: packed as Arrow, one message for each owner.

A message holds the counts of one or several windows, one record batch each, from one source
partition, and that partition's watermark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from app.partitioner import split_by_partition

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["MESSAGE_BYTES", "Partial", "WindowCounts", "pack", "unpack"]

MESSAGE_BYTES = 700_000
"""Words and counts in one message, in bytes, unless one word alone is longer."""

BATCH_BYTES = 512
"""What a record batch takes besides its words and counts, at the most."""


class WindowCounts(NamedTuple):
    """Counts of one window: `words` (pyarrow string) and `counts` (int64), each word once."""

    start: int
    words: Any
    counts: Any


class Partial(NamedTuple):
    """One message: `source` partition of lines, its `watermark` (ms), counts by window."""

    source: int
    watermark: int
    windows: list[WindowCounts]


def pack(
    windows: Iterable[WindowCounts], partitions: int, source: int, watermark: int
) -> list[list[bytes]]:
    """Pack counts for their owners: at each of `partitions` indices, that partition's messages."""
    batches: list[list[tuple[int, Any]]] = [[] for _ in range(partitions)]
    for start, words, counts in windows:
        for partition, (own_words, own_counts) in enumerate(
            split_by_partition(words, counts, partitions)
        ):
            if len(own_words):
                batch = pa.record_batch([own_words, own_counts], ["word", "count"])
                batches[partition].append((start, batch))
    return [list(_messages(own, source, watermark)) for own in batches]


def unpack(value: bytes) -> Partial:
    """Read a message that `pack` made."""
    windows = []
    with pa.ipc.open_stream(value) as reader:
        metadata = reader.schema.metadata
        while True:
            try:
                batch, own = reader.read_next_batch_with_custom_metadata()
            except StopIteration:
                break
            windows.append(WindowCounts(int(own[b"start"]), batch.column(0), batch.column(1)))
    return Partial(int(metadata[b"source"]), int(metadata[b"watermark"]), windows)


def _messages(batches: Sequence[tuple[int, Any]], source: int, watermark: int) -> Iterator[bytes]:
    group: list[tuple[int, Any]] = []
    size = 0
    for start, batch in batches:
        for piece in _pieces(batch):
            if group and (
                size + piece.nbytes + BATCH_BYTES > MESSAGE_BYTES
                or piece.schema != group[0][1].schema
            ):
                yield _message(group, source, watermark)
                group, size = [], 0
            group.append((start, piece))
            size += piece.nbytes + BATCH_BYTES
    if group:
        yield _message(group, source, watermark)


def _pieces(batch: Any) -> Iterator[Any]:
    """Halve a batch until each piece fits in a message or is one row."""
    if batch.nbytes <= MESSAGE_BYTES or batch.num_rows == 1:
        yield batch
    else:
        half = batch.num_rows // 2
        yield from _pieces(batch.slice(0, half))
        yield from _pieces(batch.slice(half))


def _message(group: Sequence[tuple[int, Any]], source: int, watermark: int) -> bytes:
    schema = group[0][1].schema.with_metadata({"source": str(source), "watermark": str(watermark)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for start, batch in group:
            writer.write_batch(batch, custom_metadata={"start": str(start)})
    message: bytes = sink.getvalue().to_pybytes()
    return message
