"""Offsets that a topic has lost: deleted before they were read, or with the whole topic."""

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
    "refuse_offset_loss",
    "refuse_recreated_topic",
    "topic_gone",
]


class OffsetRange(NamedTuple):
    """The offsets that a partition holds: from `log_start` up to and without `log_end`."""

    log_start: int
    log_end: int


class OffsetLossError(UnavailableError):
    """Offsets that must be there are gone; without this error counts would be wrong silently."""


class OnOffsetLoss(Protocol):
    """Handles offsets that are gone; raises if none may be missing."""

    def __call__(self, source: TopicPartition, first: int, end: int) -> None:
        """Offsets of `source` from `first` up to and without `end` are gone."""


def refuse_offset_loss(source: TopicPartition, first: int, end: int) -> None:
    """Raise OffsetLossError: nothing may be missing from this topic."""
    raise OffsetLossError(
        f"{_name(source)}: offsets {first} to {end - 1} are gone before they were counted, so the "
        "counts would be too low; start from the beginning under another WORDCOUNT_ID, or accept "
        "the loss: kafka-consumer-groups --reset-offsets --to-earliest for this topic"
    )


def topic_gone(topic: str) -> OffsetLossError:
    """Return the error for an internal topic that has been deleted."""
    return OffsetLossError(
        f"topic {topic} is gone, and counts with it; "
        "start from the beginning under another WORDCOUNT_ID"
    )


def refuse_recreated_topic(source: TopicPartition, next_offset: int, end: int) -> None:
    """Raise OffsetLossError if a topic ends before the offset that is to be read next."""
    if next_offset > end:
        raise OffsetLossError(
            f"{_name(source)} ends at offset {end}, but was read up to {next_offset}: it was "
            "recreated, or cut short; to count what it holds now as well, use "
            "kafka-consumer-groups --reset-offsets --to-earliest for this topic"
        )


def refuse_lost_rows(
    changelog: TopicPartition, stored: int | None, offsets: OffsetRange, read: int
) -> None:
    """Raise OffsetLossError if the changelog can't restore the table's rows any more.

    `stored` is the changelog offset of the local rows, None where there are none. `read` is the
    committed offset of the partial counts, which those rows add up.
    """
    # The changelog must still hold the record after the stored offset. And a committed offset of
    # partial counts means that the changelog once had rows: an empty one has lost them.
    behind = offsets.log_start > (-1 if stored is None else stored) + 1
    if behind or (read > 0 and offsets.log_end == 0):
        raise OffsetLossError(
            f"{_name(changelog)} begins at offset {offsets.log_start} and ends at "
            f"{offsets.log_end}, but the table's rows are older: its records were deleted, so "
            "counts are lost; start from the beginning under another WORDCOUNT_ID, and let the "
            "changelog be compacted, never deleted"
        )


def refuse_lost_offset(source: TopicPartition, group: str) -> None:
    """Raise OffsetLossError: the table has rows of this topic, but no committed offset."""
    raise OffsetLossError(
        f"{_name(source)}: Kafka holds no committed offset of group {group}, but the table has "
        "counts of it; offsets expire while no worker runs (offsets.retention.minutes). A start "
        "from the beginning would count twice: set the offset by kafka-consumer-groups "
        "--reset-offsets, or start from the beginning under another WORDCOUNT_ID"
    )


def _name(partition: TopicPartition) -> str:
    return f"topic {partition.topic}, partition {partition.partition}"
