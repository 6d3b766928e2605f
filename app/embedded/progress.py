"""Shows the progress of fetching jars: a bar on a terminal, otherwise a line at times."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["JarProgress"]

_SECONDS_BETWEEN_LINES = 5.0


class JarProgress:
    """Progress over `total` jars on stderr; prints nothing if there are none to fetch."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._bytes = 0
        self._next_line = time.monotonic()
        self._stack = ExitStack()
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        console = Console(stderr=True)
        if self._total and console.is_terminal:
            self._bar = Progress(
                TextColumn("Fetching the embedded servers, once"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("jars, {task.fields[mib]:.0f} MiB"),
                TimeElapsedColumn(),
                console=console,
            )
            self._stack.enter_context(self._bar)
            self._task = self._bar.add_task("", total=self._total, mib=0.0)
        elif self._total:
            _print_line(f"Fetching {self._total} jars of the embedded servers, once (about 100 MB)")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def advance(self, size: int) -> None:
        """Count a fetched jar of `size` bytes."""
        self._done += 1
        self._bytes += size
        mib = self._bytes / (1 << 20)
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, mib=mib)
        elif time.monotonic() >= self._next_line or self._done == self._total:
            self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
            _print_line(f"Fetched {self._done} of {self._total} jars, {mib:.0f} MiB")


def _print_line(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 — stderr of a command is where it belongs
