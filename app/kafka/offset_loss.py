"""Offsets that a topic lacks: lost before they were read, or read from a topic that is no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from app.errors import UnavailableError

if TYPE_CHECKING:
    from aiokafka import TopicPartition

__all__ = [
    "GoneError",
    "OnGone",
    "Span",
    "refuse_gone",
    "refuse_lost_offset",
    "refuse_lost_rows",
    "refuse_new_topic",
    "topic_gone",
]


class Span(NamedTuple):
    """What a partition holds: from the offset `first` up to and without the offset `end`."""

    first: int
    end: int


class GoneError(UnavailableError):
    """Offsets that must be there are gone: to go on would make counts wrong in silence."""


class OnGone(Protocol):
    """What to do about offsets that are gone; raises if that must not be."""

    def __call__(self, source: TopicPartition, first: int, end: int) -> None:
        """Offsets of `source` from `first` up to and without `end` are gone."""


def refuse_gone(source: TopicPartition, first: int, end: int) -> None:
    """Raise GoneError: nothing may be missing from this topic."""
    raise GoneError(
        f"{_name(source)}: offsets {first} to {end - 1} are gone before they were counted, so the "
        "counts would be too low; count anew under another WORDCOUNT_ID, or accept the loss: "
        "kafka-consumer-groups --reset-offsets --to-earliest for this topic"
    )


def topic_gone(topic: str) -> GoneError:
    """A topic of the application's own has been deleted."""
    return GoneError(
        f"topic {topic} is gone, and counts with it; count anew under another WORDCOUNT_ID"
    )


def refuse_new_topic(source: TopicPartition, expected: int, end: int) -> None:
    """Raise GoneError if a topic ends before what was read of it: it is not the same any more."""
    if expected > end:
        raise GoneError(
            f"{_name(source)} ends at offset {end}, but was read up to {expected}: it was made "
            "anew, or cut short; if what it holds now is to be counted as well, use "
            "kafka-consumer-groups --reset-offsets --to-earliest for this topic"
        )


def refuse_lost_rows(changelog: TopicPartition, stored: int | None, span: Span, read: int) -> None:
    """Raise GoneError if the table's rows can't be had from its changelog any more.

    `stored` is the changelog offset at which the local rows stand, None where there are none;
    `read` the committed offset of the partial counts, which those rows have added up.
    """
    behind = span.first > (-1 if stored is None else stored) + 1
    if behind or (read > 0 and span.end == 0):
        raise GoneError(
            f"{_name(changelog)} begins at offset {span.first} and ends at {span.end}, but the "
            f"table's rows are older: its records were deleted, so counts are lost; count anew "
            "under another WORDCOUNT_ID, and let the changelog be compacted, never deleted"
        )


def refuse_lost_offset(source: TopicPartition, group: str) -> None:
    """Raise GoneError: rows of the table come from this topic, and no offset says how many."""
    raise GoneError(
        f"{_name(source)}: Kafka holds no committed offset of group {group}, but the table has "
        "counts of it; offsets expire while no worker runs (offsets.retention.minutes). To begin "
        "anew would count twice: set the offset by kafka-consumer-groups --reset-offsets, or "
        "count anew under another WORDCOUNT_ID"
    )


def _name(partition: TopicPartition) -> str:
    return f"topic {partition.topic}, partition {partition.partition}"
