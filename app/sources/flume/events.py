"""Batches of the events in a call: bodies as lines, headers as Kafka headers."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from app.sources.base import Batch, Headers
from app.sources.event_time import sane

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from app.sources.flume.thrift import Event

__all__ = ["batches_of", "event_time"]

_MAX_DIGITS = 15


def batches_of(events: Sequence[Event], position: int) -> Iterator[Batch]:
    """Yield batches of consecutive events with the same time and headers.

    The last batch carries `position`, so that an acknowledgement of it covers the whole call.
    """
    groups = [(shared, list(alike)) for shared, alike in itertools.groupby(events, _shared)]
    for number, ((timestamp_ms, headers), alike) in enumerate(groups, 1):
        text = b"\n".join([(event.body or b"").removesuffix(b"\n") for event in alike])
        yield Batch(
            text,
            text.count(b"\n") + 1,
            timestamp_ms,
            position if number == len(groups) else None,
            headers=headers,
        )


def _shared(event: Event) -> tuple[int | None, Headers]:
    if not event.headers:
        return None, ()
    # Sorted: Java's hash map sends equal headers in any order.
    headers = tuple(
        (name.decode("utf-8", "replace"), value) for name, value in sorted(event.headers.items())
    )
    return event_time(event.headers.get(b"timestamp", b"")), headers


def event_time(text: bytes) -> int | None:
    """Return the milliseconds since 1970 in a timestamp header; None if they are not plausible."""
    return sane(int(text)) if text.isdigit() and len(text) <= _MAX_DIGITS else None
