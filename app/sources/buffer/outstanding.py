"""Batches that a buffer has yielded and Kafka has not acknowledged, in the order of delivery."""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from app.sources.base import Position
from app.sources.buffer.spool import Place

if TYPE_CHECKING:
    from app.sources.base import Batch

__all__ = ["KEY", "Acknowledged", "Outstanding"]

KEY = "spool "
"""Beginning of the keys of positions in spools; the name of a segment follows."""


class _Yielded(NamedTuple):
    number: int
    batch: Batch | None
    """None: the batch is on disk."""
    place: Place | None
    position: object
    """The position of the buffered source."""


class Acknowledged(NamedTuple):
    """The effect of an acknowledgement."""

    place: Place | None
    """The place in the spool behind the acknowledged batches; None: none of them is on disk."""
    position: object
    """The newest position of the buffered source among them; None: no batch has one."""


class Outstanding:
    """Numbers yielded batches and finds those that an acknowledged position covers.

    With `write_ahead` the positions of batches on disk are places in the spool, which Kafka keeps.
    """

    def __init__(self, *, write_ahead: bool) -> None:
        self._write_ahead = write_ahead
        self._yielded: deque[_Yielded] = deque()
        self._number = 0

    def __len__(self) -> int:
        return len(self._yielded)

    def add(self, batch: Batch, in_memory: Batch | None, place: Place | None) -> Batch:
        """Note a batch, with its copy in memory or its place on disk; return it for delivery."""
        self._number += 1
        self._yielded.append(_Yielded(self._number, in_memory, place, batch.position))
        position: object = self._number
        if self._write_ahead and place is not None:
            position = Position(KEY + place.segment, {"offset": place.offset})
        return dataclasses.replace(batch, position=position)

    def acknowledge(self, position: object) -> Acknowledged:
        """Remove the batches up to a position."""
        place: Place | None = None
        inner: object = None
        while self._yielded and _covers(position, self._yielded[0]):
            _, _, found, of_source = self._yielded.popleft()
            place = found or place
            inner = of_source if of_source is not None else inner
        return Acknowledged(place, inner)

    def in_memory(self) -> list[Batch]:
        """The batches that are not on disk."""
        return [yielded.batch for yielded in self._yielded if yielded.batch is not None]


def _covers(position: object, yielded: _Yielded) -> bool:
    """Whether an acknowledged position lies behind a batch."""
    # A number covers all batches up to it. A place on disk covers the batches before it. The
    # position that deletes the key of a removed segment covers none.
    if not isinstance(position, Position):
        return isinstance(position, int) and yielded.number <= position
    if position.value is None or yielded.place is None:
        return position.value is not None
    return yielded.place <= Place(position.key.removeprefix(KEY), position.value["offset"])
