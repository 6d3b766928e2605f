"""Reading which offsets a partition holds while Kafka can't answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError, KafkaTimeoutError, TopicAuthorizationFailedError
from faust.types import TP

from app.kafka import offset_ranges
from app.kafka.offset_loss import OffsetRange
from app.kafka.offset_ranges import OffsetRanges

LINES = TP("lines", 0)


def ranges_after(*errors: KafkaError, stopping: bool = False) -> OffsetRanges:
    """Offset ranges of a consumer that raises these errors, one a request, before it answers."""
    left = list(errors)

    async def earliest_offsets(*partitions: TP) -> dict[TP, int]:
        if left:
            raise left.pop(0)
        return dict.fromkeys(partitions, 3)

    async def highwaters(*partitions: TP) -> dict[TP, int]:
        return dict.fromkeys(partitions, 7)

    consumer = SimpleNamespace(earliest_offsets=earliest_offsets, highwaters=highwaters)
    owner: Any = SimpleNamespace(consumer=consumer, should_stop=stopping)
    return OffsetRanges(owner)


async def test_a_partition_without_a_leader_is_retried(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A time-out raises nothing: each retry is logged, until Kafka answers."""
    monkeypatch.setattr(offset_ranges, "RETRY_SECONDS", 0.0)
    ranges = ranges_after(KafkaTimeoutError("no leader"), KafkaTimeoutError("no leader"))
    assert await ranges.read_with_retry(LINES) == {LINES: OffsetRange(3, 7)}
    assert sum("retrying" in message for message in caplog.messages) == 2


async def test_a_refusal_is_not_retried() -> None:
    """A missing right raises at once."""
    with pytest.raises(TopicAuthorizationFailedError):
        await ranges_after(TopicAuthorizationFailedError("lines")).read_with_retry(LINES)


async def test_a_worker_that_stops_does_not_retry() -> None:
    """The error is raised while the worker stops, so that stopping does not wait for Kafka."""
    with pytest.raises(KafkaTimeoutError):
        await ranges_after(KafkaTimeoutError("away"), stopping=True).read_with_retry(LINES)
