"""How a worker starts, fails and stops."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from app.errors import ConfigurationError, UnavailableError
from app.settings import Settings
from app.worker import lifecycle as module
from app.worker.lifecycle import Failure, Lifecycle
from tests.clock import run_ready

SETTINGS = Settings.read({})


class FakeParts:
    """Tasks, sink, broker and flush of a worker, with a record of all calls in order."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.should_stop = False
        self.in_worker = False
        self.at_work = asyncio.Event()
        self.kafka_is_there = True
        self.left = 0
        self.refused: Exception | None = None
        typed: Any = self
        tasks: Any = SimpleNamespace(at_work=self.at_work, close=self.close_tasks)
        sink: Any = SimpleNamespace(open=self._note("open"), close=self._note("close"))
        self.failure = Failure(typed)
        self.lifecycle = Lifecycle(
            typed, SETTINGS, self.failure, tasks, self.flush, typed, sink, self._note("offsets")
        )

    async def close_tasks(self, *, drain: bool = False) -> None:
        """Close the tasks."""
        self.calls.append("drain" if drain else "close tasks")

    async def flush(self, timeout_seconds: float | None = None) -> int:
        """Flush within a time limit."""
        self.calls.append(("flush", timeout_seconds))
        if self.refused is not None:
            raise self.refused
        return self.left

    async def run(self) -> None:
        """Watch the broker."""
        await asyncio.Event().wait()

    async def probe(self) -> bool:
        """Whether the broker accepts connections."""
        self.calls.append("probe")
        return self.kafka_is_there

    def _note(self, name: str) -> Any:
        async def call() -> None:
            self.calls.append(name)

        return call


@pytest.fixture(autouse=True)
def signals(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The signals that the worker sends to itself."""
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _, number: sent.append(number))
    return sent


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The exit statuses with which the worker ends its process."""
    statuses: list[int] = []
    monkeypatch.setattr(os, "_exit", statuses.append)
    monkeypatch.setattr(module, "END_SECONDS", 0.01)
    return statuses


@pytest.fixture
def parts() -> FakeParts:
    """A worker that has not started."""
    return FakeParts()


async def test_the_first_error_stops_the_worker(parts: FakeParts, signals: list[int]) -> None:
    """Its process gets one SIGTERM; later errors are consequences of the first."""
    first = UnavailableError("first")
    parts.failure.fail(first)
    parts.failure.fail(UnavailableError("second"))
    assert parts.failure.error is first
    assert signals == [signal.SIGTERM]


async def test_only_unexpected_errors_are_logged_with_a_traceback(
    parts: FakeParts, caplog: pytest.LogCaptureFixture
) -> None:
    """A WordCountError is reported as one line when the process ends."""
    parts.failure.fail(UnavailableError("one line"))
    assert not caplog.records
    FakeParts().failure.fail(ValueError("a bug"))
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]


async def test_guarded_work_stops_the_worker_when_it_fails(parts: FakeParts) -> None:
    """The result of the work is returned; an error is not raised but stops the worker."""

    async def work() -> int:
        return 3

    async def fail() -> int:
        raise UnavailableError("refused")

    assert await parts.failure.guard(work) == 3
    assert await parts.failure.guard(fail) is None
    assert str(parts.failure.error) == "refused"


async def test_guarded_work_does_not_run_while_the_worker_stops(parts: FakeParts) -> None:
    """Nothing is begun then, and an error of work under way fails nothing."""

    async def work() -> int:
        parts.calls.append("work")
        return 3

    async def fail_while_stopping() -> int:
        parts.should_stop = True
        raise UnavailableError("refused")

    await parts.failure.guard(fail_while_stopping)
    assert parts.failure.error is None
    assert await parts.failure.guard(work) is None
    assert not parts.calls


async def test_stopping_drains_then_flushes_then_closes(parts: FakeParts) -> None:
    """The last flush has a time limit, and comes before anything is closed."""
    await parts.lifecycle.drain()
    await parts.lifecycle.close()
    assert parts.calls == [
        "drain",
        ("flush", module.LAST_FLUSH_SECONDS),
        "close tasks",
        "close",
        "offsets",
    ]


async def test_a_failed_worker_flushes_nothing(parts: FakeParts) -> None:
    """The next owner restores the committed counts and flushes them."""
    parts.failure.fail(ValueError("a bug"))
    await parts.lifecycle.drain()
    assert parts.calls == ["close tasks"]


async def test_rows_that_the_last_flush_leaves_are_logged(
    parts: FakeParts, caplog: pytest.LogCaptureFixture
) -> None:
    """The line names the number of rows and who writes them."""
    parts.left = 5
    await parts.lifecycle.drain()
    assert caplog.messages == ["5 rows are not in Cassandra yet; the next start writes them"]


async def test_a_last_flush_that_is_refused_is_the_reason_of_the_end(parts: FakeParts) -> None:
    """The process ends with that error, though a user has stopped it."""
    parts.refused = ConfigurationError("the table has another column")
    await parts.lifecycle.drain()
    assert parts.failure.error is parts.refused
    assert parts.calls[-1] == "close tasks"


async def test_a_start_is_stopped_when_kafka_has_gone_away(
    parts: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust would wait for ever: after a while the broker is probed, and the start fails."""
    monkeypatch.setattr(module, "START_SECONDS", 0.01)
    parts.kafka_is_there = False
    await parts.lifecycle.start()
    assert parts.calls == ["open"]
    async with asyncio.timeout(5):
        while parts.failure.error is None:  # noqa: ASYNC110 - the watch runs beside
            await asyncio.sleep(0.005)
    assert "went away while the worker started" in str(parts.failure.error)
    await parts.lifecycle.close()


@pytest.mark.parametrize("at_work", [True, False])
async def test_a_start_is_not_stopped_while_kafka_answers(
    parts: FakeParts, monkeypatch: pytest.MonkeyPatch, at_work: bool
) -> None:
    """A long recovery is no failure; once the tasks work, nothing is probed any more."""
    monkeypatch.setattr(module, "START_SECONDS", 0.01)
    if at_work:
        parts.at_work.set()
    await parts.lifecycle.start()
    if at_work:
        await asyncio.sleep(0.05)
        assert "probe" not in parts.calls
    else:
        async with asyncio.timeout(5):
            while "probe" not in parts.calls:  # noqa: ASYNC110 - the watch runs beside
                await asyncio.sleep(0.005)
        await run_ready()
    assert parts.failure.error is None
    await parts.lifecycle.close()


@pytest.mark.parametrize(
    ("error", "status"), [(None, 0), (UnavailableError("gone"), 1), (ConfigurationError("set"), 2)]
)
async def test_a_worker_that_hangs_at_the_end_is_ended(
    parts: FakeParts,
    ends: list[int],
    capsys: pytest.CaptureFixture[str],
    error: Exception | None,
    status: int,
) -> None:
    """Its work is safe: the process ends with the status and the line of its failure."""
    parts.in_worker = True
    if error is not None:
        parts.failure.fail(error)
    await parts.lifecycle.drain()
    async with asyncio.timeout(5):
        while not ends:  # noqa: ASYNC110 - a timer thread ends the process
            await asyncio.sleep(0.005)
    assert ends == [status]
    assert capsys.readouterr().err == ("" if error is None else f"Error: {error}\n")


async def test_only_the_command_worker_is_ended(parts: FakeParts, ends: list[int]) -> None:
    """An application inside another program leaves its process alone."""
    await parts.lifecycle.drain()
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(5)
    assert not ends
