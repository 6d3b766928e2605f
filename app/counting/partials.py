"""Partial counts, packed as Arrow messages for the owners of their words.

A message holds the counts of one or several windows, one after the other in one record batch, from
one source partition, and that partition's watermark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from app.counting.partitioner import partition_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    Times = NDArray[np.int64]

__all__ = ["MESSAGE_BYTES", "Partial", "WindowCounts", "by_window", "join_words", "pack", "unpack"]

MESSAGE_BYTES = 700_000
"""Maximum size of the words and counts in one message, unless one word alone is larger."""

INT32_MAX = (1 << 31) - 1


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


def by_window(counted: Iterable[WindowCounts]) -> dict[int, list[tuple[Any, Any]]]:
    """Group counts by window: start → parts (words, counts), as merge_counts takes them."""
    parts: dict[int, list[tuple[Any, Any]]] = {}
    for start, words, counts in counted:
        parts.setdefault(start, []).append((words, counts))
    return parts


def pack(
    windows: Sequence[WindowCounts], partitions: int, source: int, watermark: int
) -> list[list[bytes]]:
    """Pack counts for their owners; returns a list of messages for each of `partitions`."""
    counted = [window for window in windows if len(window.words)]
    if not counted:
        return [[] for _ in range(partitions)]
    # All windows become one batch, with the place of each row's window beside it. So hashing,
    # sorting and slicing are a few calls for all windows, not a few for each.
    words = join_words([window.words for window in counted])
    counts = pa.concat_arrays([window.counts for window in counted])
    lengths = [len(window.words) for window in counted]
    places = np.repeat(np.arange(len(counted)), lengths)
    starts = np.array([window.start for window in counted], np.int64)
    batch = pa.record_batch([words, counts, places], ["word", "count", "place"])
    # A stable sort by owner keeps windows together in each owner's part, so a part is one slice of
    # the sorted batch, and a window one run of it.
    if partitions == 1:
        parts = [batch]
    else:
        owners = partition_of(words, partitions)
        batch = batch.take(pa.array(np.argsort(owners, kind="stable")))
        ends = np.cumsum(np.bincount(owners, minlength=partitions)).tolist()
        parts = [batch.slice(b, e - b) for b, e in zip([0, *ends], ends, strict=False)]
    return [
        [_message(piece, starts, source, watermark) for piece in _pieces(part)] for part in parts
    ]


def unpack(value: bytes) -> Partial:
    """Read a message that `pack` made."""
    with pa.ipc.open_stream(value) as reader:
        metadata = reader.schema.metadata
        batch = reader.read_next_batch()
    words, counts = batch.column(0), batch.column(1)
    starts = np.frombuffer(metadata[b"starts"], "<i8").tolist()
    ends = np.frombuffer(metadata[b"ends"], "<i8").tolist()
    windows = [
        WindowCounts(start, words.slice(begin, end - begin), counts.slice(begin, end - begin))
        for start, begin, end in zip(starts, [0, *ends], ends, strict=False)
    ]
    return Partial(int(metadata[b"source"]), int(metadata[b"watermark"]), windows)


def join_words(arrays: list[Any]) -> Any:
    """All words in one array; a large one if they are more than a small one holds."""
    kinds = {array.type for array in arrays}
    if len(kinds) > 1 or sum(array.nbytes for array in arrays) > INT32_MAX:
        arrays = [array.cast(pa.large_string()) for array in arrays]
    return pa.concat_arrays(arrays)


def _pieces(batch: Any) -> Iterator[Any]:
    """Halve a batch until each piece fits in a message or is one row."""
    if not batch.num_rows:
        return
    if batch.nbytes <= MESSAGE_BYTES or batch.num_rows == 1:
        yield batch
    else:
        half = batch.num_rows // 2
        yield from _pieces(batch.slice(0, half))
        yield from _pieces(batch.slice(half))


def _message(batch: Any, starts: Times, source: int, watermark: int) -> bytes:
    """One message: words and counts, and in its metadata the start and the end of each window."""
    places = batch.column(2).to_numpy()
    # A window ends where the place changes. Starts and ends go into the metadata: a reader slices
    # the columns by them, and needs no column of windows.
    ends = np.append(np.flatnonzero(np.diff(places)) + 1, len(places)).astype("<i8")
    metadata = {
        "source": str(source),
        "watermark": str(watermark),
        "starts": starts[places[ends - 1]].astype("<i8").tobytes(),
        "ends": ends.tobytes(),
    }
    counted = batch.select(["word", "count"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, counted.schema.with_metadata(metadata)) as writer:
        writer.write_batch(counted)
    message: bytes = sink.getvalue().to_pybytes()
    return message
