"""Transforms of the batches of any source: pace them, date them, cut them."""

from __future__ import annotations

import dataclasses
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from app.sources.base import Batch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from app.sources.base import Source

__all__ = ["cut", "dated", "paced"]

_STEPS_A_SECOND = 20
_CATCH_UP_SECONDS = 1.0


async def dated(batches: AsyncIterator[Batch], timestamp_ms: int) -> AsyncIterator[Batch]:
    """Give every line one event time."""
    async for batch in batches:
        yield dataclasses.replace(batch, timestamp_ms=timestamp_ms)


async def paced(source: Source, lines_per_second: float) -> AsyncGenerator[Batch]:
    """Yield the source's batches in small steps, at a steady rate.

    After Kafka was slow, a burst makes up for at most a second's lines. A batch stays whole if its
    lines are delivered together with its position. Once the source is stopped, lines that cannot be
    read again come without a pause.
    """
    started = time.monotonic()
    sent = 0
    step = max(1, round(lines_per_second / _STEPS_A_SECOND))
    async with aclosing(cast("AsyncGenerator[Batch]", source.batches())) as batches:
        async for batch in batches:
            for part in [batch] if source.name else _steps(batch, step):
                early = started + sent / lines_per_second - time.monotonic()
                if early > 0 and await source.pause(early) and source.can_replay:
                    return
                started += max(0.0, -early - _CATCH_UP_SECONDS)
                source.at_hand = False  # true for the source, but a paced batch may have to wait
                yield part
                sent += part.lines


def cut(batch: Batch, size: int) -> Iterator[Batch]:
    """Cut a batch between its lines into batches of at most `size` bytes.

    A longer line is a batch of its own. The last batch has the position. A batch that does not
    count its lines by newlines stays whole.
    """
    text, start = batch.text, 0
    if len(text) > size and batch.lines == text.count(b"\n") + 1:
        while len(text) - start > size:
            end = text.rfind(b"\n", start, start + size + 1)
            if end < 0:
                end = text.find(b"\n", start + size)
            if end < 0:
                break
            part = text[start:end]
            lines = part.count(b"\n") + 1
            yield dataclasses.replace(batch, text=part, lines=lines, position=None, refused=0)
            start = end + 1
        rest = text[start:]
        batch = dataclasses.replace(batch, text=rest, lines=rest.count(b"\n") + 1)
    yield batch


def _steps(batch: Batch, step: int) -> Iterator[Batch]:
    """Cut a batch into batches of `step` lines; the last one has the position."""
    lines = batch.text.split(b"\n")
    if batch.lines <= step or batch.lines != len(lines):
        yield batch
        return
    for start in range(0, len(lines), step):
        some = lines[start : start + step]
        last = start + step >= len(lines)
        yield Batch(
            b"\n".join(some),
            len(some),
            batch.timestamp_ms,
            batch.position if last else None,
            batch.refused if last else 0,
            batch.headers,
            batch.partition_key,
        )
