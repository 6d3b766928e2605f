"""The task manager: what happens to tasks and table at a rebalance, and when a task is fenced."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from app.errors import ConfigurationError
from app.kafka.offset_loss import OffsetLossError, OffsetRange
from app.settings import Settings
from app.worker import rebalance
from app.worker.rebalance import Rejoin, TaskManager

SETTINGS = Settings.read({})
LINES, PARTIALS, CHANGELOG = (
    TP(topic, 1) for topic in (SETTINGS.lines, SETTINGS.partials, SETTINGS.changelog)
)


class FakeWorker:
    """A member of the group with a table, two stages, and a record of all calls in order."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.errors: list[BaseException] = []
        self.should_stop = False
        self.consumer_generation_id = 7
        self.recovered_generation: int | None = None
        self.rebalancing_count = 1
        self.partitions = {SETTINGS.lines: 4, SETTINGS.partials: 4, SETTINGS.changelog: 4}
        self.consumer = SimpleNamespace(topic_partitions=self.partitions.get)
        self.owned: dict[int, Any] = {}
        self.watermarks: dict[int, int] = {}
        self.log_start = 0
        self.log_end = 9
        self.store = SimpleNamespace(
            begins={},
            refuse_foreign=lambda tp, end: self.calls.append(("refuse foreign", tp, end)),
            persisted_offset=lambda _: 8,
        )
        self.stages = tuple(
            FakeStage(self, name, topic)
            for name, topic in (("split", SETTINGS.lines), ("count", SETTINGS.partials))
        )
        typed: Any = self
        self.tasks = TaskManager(typed, SETTINGS, typed.stages, typed, typed, self.errors.append)

    async def read_with_retry(self, *partitions: TP) -> dict[TP, OffsetRange]:
        """All partitions hold the same offsets."""
        self.calls.append("read ranges")
        return {tp: OffsetRange(self.log_start, self.log_end) for tp in partitions}

    async def forget(self) -> None:
        """Forget the table."""
        self.calls.append("forget")
        self.owned = {}

    async def load(self, partitions: list[int]) -> None:
        """Load partitions of the table."""
        self.calls.append(("load", partitions))
        self.owned = {
            partition: SimpleNamespace(watermarks=self.watermarks) for partition in partitions
        }

    def rejoin(self) -> None:
        """Request a new assignment."""
        self.calls.append("rejoin")


class FakeStage:
    """A stage whose calls the worker records."""

    def __init__(self, worker: FakeWorker, name: str, topic: str) -> None:
        self.name = name
        self.topic = topic
        self.tasks: dict[int, Any] = {}
        self.begun = True
        self._worker = worker
        self._calls = worker.calls

    async def open(self, partition: int) -> None:
        """Open a task; until then a zombie adds records."""
        self._calls.append(("open", self.name, partition))
        self._worker.log_end += 1
        source = TP(self.topic, partition)
        self.tasks[partition] = SimpleNamespace(source=source, committed=(5, ""), begun=self.begun)

    def place(self, partition: int, offsets: OffsetRange) -> None:
        """Let a task begin."""
        self._calls.append(("place", self.name, partition, offsets.log_end))

    def start(self, generation: int) -> None:
        """Start the tasks."""
        self._calls.append(("start", self.name, generation))

    async def close(self, *, drain: bool) -> None:
        """Close the tasks."""
        self._calls.append(("close", self.name, drain))
        self.tasks.clear()

    def next_offsets(self) -> dict[int, int]:
        """Each task expects offset 5."""
        return dict.fromkeys(self.tasks, 5)


ASSIGNED = {LINES, PARTIALS, CHANGELOG}
CLOSED = [("close", "split", False), ("close", "count", False), "forget"]


@pytest.fixture
def worker() -> FakeWorker:
    """A worker that owns nothing yet."""
    return FakeWorker()


async def test_tasks_are_closed_before_others_are_opened(worker: FakeWorker) -> None:
    """An assignment closes all tasks and opens the new ones, which fences zombies.

    Only then it reads which offsets the topics hold: zombies have added records until then.
    """
    await worker.tasks.take_over(ASSIGNED, 7)
    assert worker.calls[:5] == [*CLOSED, ("open", "split", 1), ("open", "count", 1)]
    assert worker.calls[5:] == [
        "read ranges",
        ("refuse foreign", CHANGELOG, 11),
        ("place", "split", 1, 11),
        ("place", "count", 1, 11),
    ]
    assert worker.tasks.next_offsets() == {LINES: 5, PARTIALS: 5}
    assert worker.store.begins == {1: 0}
    assert not worker.errors


async def test_tasks_start_after_the_recovery_of_their_own_assignment(worker: FakeWorker) -> None:
    """The end of an older recovery starts nothing; the end of theirs loads the table first."""
    await worker.tasks.take_over(ASSIGNED, 7)
    worker.calls.clear()
    for generation in (None, 6):
        worker.recovered_generation = generation
        await worker.tasks.start()
    assert not worker.calls
    assert not worker.tasks.at_work.is_set()
    worker.recovered_generation = 7
    await worker.tasks.start()
    assert worker.calls == [("load", [1]), ("start", "split", 7), ("start", "count", 7)]
    assert worker.tasks.at_work.is_set()


async def test_tasks_do_not_start_when_a_rebalance_begins_while_the_table_is_loaded(
    worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is forgotten instead: its partitions may go to another worker."""
    await worker.tasks.take_over(ASSIGNED, 7)
    worker.recovered_generation = 7
    load = worker.load

    async def load_slowly(partitions: list[int]) -> None:
        await load(partitions)
        worker.recovered_generation = None

    monkeypatch.setattr(worker, "load", load_slowly)
    worker.calls.clear()
    await worker.tasks.start()
    assert worker.calls == [("load", [1]), "forget"]


async def test_revoked_partitions_close_their_tasks(worker: FakeWorker) -> None:
    """No recovery starts tasks after the group has revoked them."""
    await worker.tasks.take_over(ASSIGNED, 7)
    worker.calls.clear()
    await worker.tasks.release()
    assert worker.calls == CLOSED
    worker.recovered_generation = 7
    await worker.tasks.start()
    assert worker.calls == CLOSED


async def test_a_worker_that_stops_opens_nothing(worker: FakeWorker) -> None:
    """An assignment that comes while it stops only closes what is open."""
    worker.should_stop = True
    await worker.tasks.take_over(ASSIGNED, 7)
    assert worker.calls == CLOSED


@pytest.mark.parametrize(
    ("topic", "found", "error"),
    [
        (SETTINGS.lines, 5, ConfigurationError),
        (SETTINGS.changelog, 3, ConfigurationError),
        (SETTINGS.partials, 0, OffsetLossError),
    ],
)
async def test_a_topic_with_other_partitions_is_refused(
    worker: FakeWorker, topic: str, found: int, error: type[Exception]
) -> None:
    """Words would go to other owners, or counts are lost: the worker stops and opens nothing."""
    worker.partitions[topic] = found
    await worker.tasks.take_over(ASSIGNED, 7)
    assert [type(failed) for failed in worker.errors] == [error]
    assert worker.calls == CLOSED


async def test_a_deleted_topic_of_lines_is_no_failure(worker: FakeWorker) -> None:
    """It may be recreated, and is then counted from its beginning."""
    worker.partitions[SETTINGS.lines] = 0
    await worker.tasks.take_over(ASSIGNED, 7)
    assert not worker.errors


async def test_rows_that_changelog_and_store_lack_are_refused(worker: FakeWorker) -> None:
    """A changelog that begins beyond the local rows stops the worker."""
    worker.store.persisted_offset = lambda _: None
    worker.log_start = 3
    await worker.tasks.take_over(ASSIGNED, 7)
    assert [type(error) for error in worker.errors] == [OffsetLossError]


async def test_counts_without_a_committed_offset_are_refused(worker: FakeWorker) -> None:
    """The offsets have expired: a start from the beginning would count everything twice."""
    for stage in worker.stages:
        stage.begun = False
    worker.watermarks = {0: 60_000}
    await worker.tasks.take_over(ASSIGNED, 7)
    worker.recovered_generation = 7
    await worker.tasks.start()
    [error] = worker.errors
    assert "Kafka holds no committed offset" in str(error)
    assert not worker.tasks.at_work.is_set()


@pytest.mark.parametrize(
    ("rebalances", "stopping", "requested"),
    [(1, False, True), (2, False, False), (1, True, False)],
)
async def test_a_fenced_worker_rejoins_unless_a_rebalance_has_begun(
    worker: FakeWorker,
    monkeypatch: pytest.MonkeyPatch,
    rebalances: int,
    stopping: bool,
    requested: bool,
) -> None:
    """It requests a new assignment after a while, if the group has not moved on by itself."""
    monkeypatch.setattr(rebalance, "REJOIN_SECONDS", 0.01)
    typed: Any = worker
    Rejoin(typed).when_fenced()
    worker.rebalancing_count = rebalances
    worker.should_stop = stopping
    assert not worker.calls
    await asyncio.sleep(0.05)
    assert worker.calls == ["rejoin"] * requested
