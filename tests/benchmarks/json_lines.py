"""Reads the progress of systems that print JSON lines {"time": …, "words": …}."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.benchmarks.lines import WORDS_PER_LINE
from tests.benchmarks.measure import Progress, System

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ReportingSystem", "last_report"]

TAIL_BYTES = 20_000


@dataclass
class ReportingSystem(System):
    """A system of one process whose output is `output.log` in its folder."""

    @property
    def output(self) -> Path:
        """The file that holds the system's output."""
        return self.job.folder / "output.log"

    def progress(self) -> Progress:
        """The progress in the system's last report."""
        report = last_report(self.output)
        return Progress(report.get("time", 0.0), report.get("words", 0) / WORDS_PER_LINE)


def last_report(output: Path) -> dict[str, Any]:
    """The last whole JSON line of a file; empty if there is none."""
    if not output.exists():
        return {}
    with output.open("rb") as file:
        file.seek(max(0, output.stat().st_size - TAIL_BYTES))
        lines = file.read().split(b"\n")[:-1]
    for line in reversed(lines):
        # Log lines of libraries may stand between the reports.
        with contextlib.suppress(ValueError):
            if line.startswith(b'{"time"'):
                found: dict[str, Any] = json.loads(line)
                return found
    return {}
