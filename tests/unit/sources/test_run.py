"""One run of a producer: signals, figures, and errors before Kafka is asked."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.errors import UnavailableError
from app.sources.base import Batch, Source, SourceError
from app.sources.delivery.contract import Totals
from app.sources.progress import LastWarning
from app.sources.run import Abandoned, BufferOptions, Run, Summary, Target, stopped_by_signals

TARGET = Target(
    brokers=["127.0.0.1:1"],
    topic="lines",
    positions_topic="positions",
    group="group",
    partitions=1,
    replication=1,
)


class Silent(Source):
    """A source without lines that fails, or waits, as it is opened."""

    replayable = False

    def __init__(self, problem: str = "", *, waits_in_open: bool = False) -> None:
        super().__init__()
        self._problem = problem
        self._waits = waits_in_open
        self.closed = False

    async def open(self) -> None:
        """Fail, or wait."""
        if self._problem:
            raise SourceError(self._problem)
        if self._waits:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield nothing."""
        for batch in list[Batch]():
            yield batch

    async def close(self) -> None:
        """Note it."""
        self.closed = True


async def test_the_first_signal_stops_and_the_second_abandons() -> None:
    """SIGINT or SIGTERM stops the source; the next one ends the wait for Kafka."""
    source, calls = Silent(), []

    def on_stop() -> bool:
        calls.append("stopping")
        return True

    async def body() -> None:
        with stopped_by_signals(source, on_stop):
            os.kill(os.getpid(), signal.SIGTERM)
            await source.stopping.wait()
            assert calls == ["stopping"]
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()

    with pytest.raises(Abandoned):
        await asyncio.wait_for(asyncio.create_task(body()), 10)


async def test_the_first_signal_abandons_a_run_without_lines() -> None:
    """Before Kafka is connected there is nothing to wait for."""

    async def body() -> None:
        with stopped_by_signals(Silent(), lambda: False):
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()

    with pytest.raises(Abandoned):
        await asyncio.wait_for(asyncio.create_task(body()), 10)


async def test_a_source_that_cannot_be_opened_is_closed_and_its_error_raised() -> None:
    """Kafka is not connected then, and the figures are zero."""
    source = Silent("no such thing")
    run = Run(source, TARGET, warning=LastWarning())
    with pytest.raises(SourceError, match="no such thing"):
        await run.run()
    assert source.closed
    assert not run.connected
    assert run.summary.totals == Totals(0, 0, 0, 0, 0, 0)


async def test_a_signal_before_kafka_is_connected_ends_the_run() -> None:
    """The run is abandoned without an error, and the source is closed."""
    source = Silent(waits_in_open=True)
    run = Run(source, TARGET, warning=LastWarning())
    await asyncio.wait_for(asyncio.create_task(run.run()), 10)
    assert run.abandoned
    assert not run.connected
    assert source.closed


@pytest.mark.parametrize("disk_bytes", [0, 1 << 20])
async def test_lines_that_cannot_be_read_again_get_a_buffer(
    tmp_path: Path, disk_bytes: int
) -> None:
    """The spool is below the given folder; a size of 0 switches the buffer off."""
    options = BufferOptions(
        memory_bytes=1, disk_bytes=disk_bytes, folder=tmp_path, purpose="none", write_ahead=False
    )
    with pytest.raises(UnavailableError):
        await Run(Silent("fails"), TARGET, warning=LastWarning(), buffer=options).run()
    assert any(tmp_path.glob("none-*")) == bool(disk_bytes)  # noqa: ASYNC240 - a test's own folder


def test_figures_have_their_documented_names() -> None:
    """Scripts read them from --json."""
    figures = Summary(Totals(10, 8, 2, 100, 1, 3), 4.0).figures()
    assert figures == {
        "lines": 8,
        "not_delivered": 2,
        "refused_words": 1,
        "redated_lines": 3,
        "messages": 2,
        "bytes": 100,
        "seconds": 4.0,
        "lines_per_s": 2.0,
    }
