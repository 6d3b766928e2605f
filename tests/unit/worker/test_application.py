"""What the application does when Kafka can't tell what a partition holds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import KafkaError, KafkaTimeoutError, TopicAuthorizationFailedError
from faust.types import TP

from app import create_app
from app.kafka.offset_loss import OffsetRange
from app.worker import application

if TYPE_CHECKING:
    from app.worker.application import Application

LINES = TP("lines", 0)


def asking(monkeypatch: pytest.MonkeyPatch, *errors: KafkaError) -> Application:
    """An application whose consumer meets these errors, one a question, before it answers."""
    monkeypatch.setattr(application, "RETRY_SECONDS", 0.0)
    left = list(errors)

    async def earliest_offsets(*partitions: TP) -> dict[TP, int]:
        if left:
            raise left.pop(0)
        return dict.fromkeys(partitions, 3)

    async def highwaters(*partitions: TP) -> dict[TP, int]:
        return dict.fromkeys(partitions, 7)

    app = create_app({})
    app.consumer = SimpleNamespace(earliest_offsets=earliest_offsets, highwaters=highwaters)
    return app


async def test_a_partition_without_a_leader_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A rebalance meanwhile stops no worker: it says that it waits, and goes on."""
    app = asking(monkeypatch, KafkaTimeoutError("no leader"), KafkaTimeoutError("no leader"))
    assert await app._await_offset_ranges(LINES) == {LINES: OffsetRange(3, 7)}
    assert sum("trying again" in message for message in caplog.messages) == 2


async def test_what_stays_refused_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A right that is missing does not come by itself."""
    app = asking(monkeypatch, TopicAuthorizationFailedError("lines"))
    with pytest.raises(TopicAuthorizationFailedError):
        await app._await_offset_ranges(LINES)
