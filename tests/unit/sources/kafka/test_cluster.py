"""A copy starts each partition where it ended, if the partition still holds that offset."""

import pytest
from aiokafka import TopicPartition

from app.kafka.offset_loss import OffsetRange
from app.sources.base import SourceError
from app.sources.kafka.cluster import start_offset

PARTITION = TopicPartition("raw", 3)


@pytest.mark.parametrize(("copied", "expected"), [(5, 10), (10, 10), (15, 15), (20, 20)])
def test_deleted_messages_are_counted_and_skipped(
    copied: int, expected: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Retention may delete messages while no copy runs."""
    assert start_offset(PARTITION, copied, OffsetRange(10, 20)) == expected
    reported = "5 messages of partition 3 of topic raw are lost" in capsys.readouterr().err
    assert reported == (copied == 5)


def test_a_partition_that_ends_before_the_copy_is_refused() -> None:
    """The topic was recreated, so its offsets mean other lines."""
    with pytest.raises(SourceError, match="ends at 20, but was copied up to 21"):
        start_offset(PARTITION, 21, OffsetRange(10, 20))
