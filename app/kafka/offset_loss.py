"""Offsets that a topic lacks: lost before they were read, or read from a topic that is no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from app.errors import UnavailableError

if TYPE_CHECKING:
    from aiokafka import TopicPartition

__all__ = [
    "OffsetLossError",
    "OffsetRange",
    "OnOffsetLoss",
    "refuse_lost_offset",
    "refuse_lost_rows",
    "refuse_new_topic",
    "refuse_offset_loss",
    "topic_gone",
]


class OffsetRange(NamedTuple):
    """What a partition holds: from `log_start` up to and without `log_end`."""

    log_start: int
    log_end: int


class OffsetLossError(UnavailableError):
    """Offsets that must be there are gone: to go on would make counts wrong in silence."""


class OnOffsetLoss(Protocol):
    """What to do about offsets that are gone; raises if that must not be."""

    def __call__(self, source: TopicPartition, first: int, end: int) -> None:
        """Offsets of `source` from `first` up to and without `end` are gone."""


def refuse_offset_loss(source: TopicPartition, first: int, end: int) -> None:
    """Raise OffsetLossError: nothing may be missing from this topic."""
    raise OffsetLossError(
        f"{_name(source)}: offsets {first} to {end - 1} are gone before they were counted, so the "
        "counts would be too low; count anew under another WORDCOUNT_ID, or accept the loss: "
        "kafka-consumer-groups --reset-offsets --to-earliest for this topic"
    )


def topic_gone(topic: str) -> OffsetLossError:
    """A topic of the application's own has been deleted."""
    return OffsetLossError(
        f"topic {topic} is gone, and counts with it; count anew under another WORDCOUNT_ID"
    )


def refuse_new_topic(source: TopicPartition, expected: int, end: int) -> None:
    """Raise OffsetLossError if a topic ends before what was read of it."""
    if expected > end:
        raise OffsetLossError(
            f"{_name(source)} ends at offset {end}, but was read up to {expected}: it was made "
            "anew, or cut short; if what it holds now is to be counted as well, use "
            "kafka-consumer-groups --reset-offsets --to-earliest for this topic"
        )


def refuse_lost_rows(
    changelog: TopicPartition, stored: int | None, offsets: OffsetRange, read: int
) -> None:
    """Raise OffsetLossError if the table's rows can't be had from its changelog any more.

    `stored` is the changelog offset at which the local rows stand, None where there are none;
    `read` the committed offset of the partial counts, which those rows have added up.
    """
    behind = offsets.log_start > (-1 if stored is None else stored) + 1
    if behind or (read > 0 and offsets.log_end == 0):
        raise OffsetLossError(
            f"{_name(changelog)} begins at offset {offsets.log_start} and ends at "
            f"{offsets.log_end}, but the table's rows are older: its records were deleted, so "
            "counts are lost; count anew under another WORDCOUNT_ID, and let the changelog be "
            "compacted, never deleted"
        )


def refuse_lost_offset(source: TopicPartition, group: str) -> None:
    """Raise OffsetLossError: the table has rows of this topic, but no committed offset."""
    raise OffsetLossError(
        f"{_name(source)}: Kafka holds no committed offset of group {group}, but the table has "
        "counts of it; offsets expire while no worker runs (offsets.retention.minutes). To begin "
        "anew would count twice: set the offset by kafka-consumer-groups --reset-offsets, or "
        "count anew under another WORDCOUNT_ID"
    )


def _name(partition: TopicPartition) -> str:
    return f"topic {partition.topic}, partition {partition.partition}"
