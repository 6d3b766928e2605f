"""Progress of a run on stderr: a display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from contextlib import ExitStack, asynccontextmanager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from app.sources.notices import notify

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from rich.progress import Progress, TaskID

    from app.sources.base import Source
    from app.sources.delivery.contract import Delivery

__all__ = ["LastWarning", "client_warnings", "reported"]

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_BETWEEN_LINES = 5.0
_SECONDS_TO_NOTICE = 5.0
_SECONDS_BETWEEN_NOTICES = 30.0


@contextmanager
def client_warnings() -> Iterator[LastWarning]:
    """Keep the Kafka client's log off stderr and note its last warning, for `reported`."""
    last = LastWarning()
    with ExitStack() as stack:
        for name in ("aiokafka", "app.kafka"):
            log = logging.getLogger(name)
            stack.callback(setattr, log, "propagate", log.propagate)
            log.propagate = False
            log.addHandler(last)
            stack.callback(log.removeHandler, last)
        yield last


@asynccontextmanager
async def reported(source: Source, delivery: Delivery, warning: LastWarning) -> AsyncIterator[None]:
    """Report on stderr while the body runs: progress, and outages of Kafka."""
    display = _display(source) if sys.stderr.isatty() else None
    show = display[1] if display else _Lines()
    with display[0] if display else nullcontext():
        reporting = asyncio.create_task(_report(delivery, show, _Outage(warning)))
        try:
            yield
        finally:
            reporting.cancel()
            await asyncio.gather(reporting, return_exceptions=True)
            if display:
                show(delivery)


async def _report(delivery: Delivery, show: Callable[[Delivery], None], outage: _Outage) -> None:
    while True:
        await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
        outage.look(delivery)
        show(delivery)


class LastWarning(logging.Handler):
    """A log handler that keeps the Kafka client's last warning."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record's message."""
        self.text = record.getMessage()


class _Outage:
    """Prints the beginning of an outage of Kafka, its continuation now and then, and its end."""

    def __init__(self, warning: LastWarning) -> None:
        self._warning = warning
        self._since: float | None = None
        self._printed_at = 0.0

    def look(self, delivery: Delivery) -> None:
        now = time.monotonic()
        stalled = delivery.stalled_seconds
        if stalled > _SECONDS_TO_NOTICE:
            if self._since is None:
                self._since = now - stalled
            elif now < self._printed_at + _SECONDS_BETWEEN_NOTICES:
                return
            self._printed_at = now
            why = f" ({self._warning.text})" if self._warning.text else ""
            notify(
                f"Kafka has acknowledged nothing for {stalled:.0f} s{why}; "
                f"{delivery.totals.waiting} lines wait, retrying"
            )
        elif self._since is not None:
            notify(f"Kafka answers again, after {now - self._since:.0f} s")
            self._since, self._warning.text = None, ""


class _Lines:
    """A plain line every few seconds."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._lines = self._bytes = 0

    def __call__(self, delivery: Delivery) -> None:
        now = time.monotonic()
        seconds = now - self._at
        totals = delivery.totals
        if seconds < _SECONDS_BETWEEN_LINES or totals.acknowledged == self._lines:
            return
        notify(
            f"{totals.acknowledged:,} lines acknowledged, "
            f"{(totals.acknowledged - self._lines) / seconds:,.0f} lines/s, "
            f"{(totals.bytes - self._bytes) / seconds / 1e6:,.1f} MB/s"
        )
        self._at, self._lines, self._bytes = now, totals.acknowledged, totals.bytes


def _display(source: Source) -> tuple[Progress, Callable[[Delivery], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = [
        SpinnerColumn(),
        TextColumn("{task.fields[lines]:>13,} lines"),
        TextColumn("{task.fields[lines_per_second]:>10,.0f} lines/s"),
        TextColumn("{task.fields[megabytes]:>9,.1f} MB"),
        TimeElapsedColumn(),
    ]
    if source.size:
        columns[1:1] = [BarColumn(), TextColumn("{task.percentage:>3.0f} %")]
        columns.append(TimeRemainingColumn(elapsed_when_finished=True))
    progress = Progress(*columns, console=Console(stderr=True))
    started = time.monotonic()
    task: TaskID = progress.add_task(
        "", total=source.size, lines=0, lines_per_second=0.0, megabytes=0.0
    )

    def show(delivery: Delivery) -> None:
        totals = delivery.totals
        progress.update(
            task,
            # Bytes that were read and wait for Kafka do not count as progress.
            completed=source.taken * totals.acknowledged / max(totals.taken, 1),
            lines=totals.acknowledged,
            lines_per_second=totals.acknowledged / (time.monotonic() - started),
            megabytes=totals.bytes / 1e6,
        )

    return progress, show
