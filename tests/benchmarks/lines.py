"""Generates the text that every system counts: lines of 10 words, and their true counts.

A seed determines the text. Words are as frequent as in natural text (Zipf's law), and frequent
words are short. Each line has its own timestamp; together the timestamps cover the last `windows`
whole minutes.
"""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["WINDOW_MS", "WORDS_PER_LINE", "Counts", "Text", "fill"]

WORDS_PER_LINE = 10
WINDOW_MS = 60_000
CHUNK_LINES = 50_000
BATCH_BYTES = 64 << 10
"""Bytes of a produce batch, uncompressed."""

Counts = dict[tuple[int, str], int]
"""(window start in ms, word) → count."""

_SYLLABLES = [c + v for v in "aeiou" for c in "tnshrdlcmwfgpb"]


@dataclass(frozen=True)
class Text:
    """A text of `total` lines out of `distinct` words."""

    total: int
    distinct: int = 40_000
    windows: int = 1
    seed: int = 1
    started_ms: int = field(default=0)

    def since(self, now_s: float) -> Text:
        """The same text with timestamps in the minutes before `now_s`."""
        started = (int(now_s * 1000) // WINDOW_MS - self.windows) * WINDOW_MS
        return Text(self.total, self.distinct, self.windows, self.seed, started)

    def chunks(self) -> Iterator[tuple[list[bytes], list[int]]]:
        """Lines and their timestamps (ms), 50,000 at once."""
        words = self._words
        for first, places in self._places():
            flat = words.take(pa.array(places.ravel()))
            offsets = pa.array(np.arange(0, places.size + 1, WORDS_PER_LINE, dtype=np.int32))
            rows = pa.ListArray.from_arrays(offsets, flat)
            lines = pc.binary_join(rows, " ").cast(pa.binary()).to_pylist()
            yield lines, self._timestamps(first, len(lines)).tolist()

    def counts(self, lines: int | None = None) -> Counts:
        """The true counts of the first `lines` lines, or of all lines if None."""
        end = self.total if lines is None else lines
        sums = np.zeros((self.windows, self.distinct), np.int64)
        for first, chunk in self._places():
            places = chunk[: max(0, end - first)]
            window = (self._timestamps(first, len(places)) - self.started_ms) // WINDOW_MS
            flat = window[:, None] * self.distinct + places
            sums += np.bincount(flat.ravel(), minlength=sums.size).reshape(sums.shape)
        words = self._words.to_pylist()
        windows, found = np.nonzero(sums)
        return {
            (self.started_ms + int(window) * WINDOW_MS, words[word]): int(count)
            for window, word, count in zip(
                windows.tolist(), found.tolist(), sums[windows, found].tolist(), strict=True
            )
        }

    def _places(self) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
        """(number of the first line, rank of each word of each line), chunk by chunk."""
        # Zipf-Mandelbrot: the offset flattens the head, so that the first word does not dominate.
        weights = 1 / (np.arange(self.distinct) + 2.7) ** 1.05
        bounds = np.cumsum(weights / weights.sum())
        for first in range(0, self.total, CHUNK_LINES):
            count = min(CHUNK_LINES, self.total - first)
            random = np.random.default_rng([self.seed, first])
            # The last chunk is drawn whole, so that a line's words do not depend on `total`.
            drawn = random.random((CHUNK_LINES, WORDS_PER_LINE))[:count]
            yield first, np.minimum(np.searchsorted(bounds, drawn), self.distinct - 1)

    def _timestamps(self, first: int, count: int) -> np.ndarray[Any, Any]:
        span = self.windows * WINDOW_MS
        return self.started_ms + np.arange(first, first + count) * span // self.total

    @functools.cached_property
    def _words(self) -> Any:
        return pa.array([_spell(rank) for rank in range(self.distinct)])


def _spell(rank: int) -> str:
    """Return the word of a rank: one syllable for the first 70 ranks, then two, then three."""
    word, rest = "", rank + 1
    while rest:
        rest, place = divmod(rest - 1, len(_SYLLABLES))
        word = _SYLLABLES[place] + word
    return word


async def fill(
    broker: str, topic: str, text: Text, partitions: int, advance: Callable[[int], None]
) -> float:
    """Write the text to a new topic, batches to the partitions in turn; return the seconds."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    await admin.create_topics([NewTopic(topic, partitions, 1)])
    await admin.close()
    producer = AIOKafkaProducer(
        bootstrap_servers=broker, max_batch_size=BATCH_BYTES, enable_idempotence=True
    )
    await producer.start()
    began = time.monotonic()
    number = 0
    sent: set[Any] = set()
    try:
        for lines, timestamps in text.chunks():
            batch = producer.create_batch()
            for line, timestamp in zip(lines, timestamps, strict=True):
                if batch.append(key=None, value=line, timestamp=timestamp) is None:
                    sent.add(await producer.send_batch(batch, topic, partition=number % partitions))
                    number += 1
                    batch = producer.create_batch()
                    batch.append(key=None, value=line, timestamp=timestamp)
            sent.add(await producer.send_batch(batch, topic, partition=number % partitions))
            number += 1
            for future in sent:
                await future
            sent.clear()
            advance(len(lines))
    finally:
        await producer.stop()
    return time.monotonic() - began
