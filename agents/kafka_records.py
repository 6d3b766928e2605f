"""Results of the agents → records for Kafka, each with the partition that it goes to; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from app.kafka.producer import PartitionRecords, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agents.splitting import Split
    from app.kafka.records import Records
    from app.settings import Settings
    from tables.rows import Put

__all__ = ["changelog_records", "split_records"]


def split_records(split: Split, settings: Settings) -> list[PartitionRecords]:
    """Address partial counts to the owners of their words, other messages to their topics."""
    reasons = [("reason", reason.encode()) for reason in split.reasons]
    targets = [
        PartitionRecords(
            TopicPartition(settings.rejected, split.source), _unchanged(split.rejected, reasons)
        ),
        PartitionRecords(TopicPartition(settings.late, split.source), _unchanged(split.late)),
    ]
    targets += [
        PartitionRecords(
            TopicPartition(settings.partials, owner), [Record(None, value) for value in messages]
        )
        for owner, messages in enumerate(split.partials)
    ]
    return [target for target in targets if target.records]


def changelog_records(changelog: TopicPartition, puts: Iterable[Put]) -> list[PartitionRecords]:
    """Make a changelog record of each row."""
    return [PartitionRecords(changelog, [Record(key, value) for key, value in puts])]


def _unchanged(records: Records, more: Sequence[tuple[str, bytes]] = ()) -> list[Record]:
    """Copy records, each with one additional header of `more` if there are any."""
    copied = zip(records.keys, records.values, records.timestamps.tolist(), strict=True)
    return [
        # A slice of `more` is empty where there is no header to add.
        Record(*record, (*records.headers.get(place, ()), *more[place : place + 1]))
        for place, record in enumerate(copied)
    ]
