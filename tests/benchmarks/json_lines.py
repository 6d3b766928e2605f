"""Systems that say how far they are: JSON lines {"time": …, "words": …} in their output."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.benchmarks.lines import WORDS_PER_LINE
from tests.benchmarks.measure import Progress, System

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SpeakingSystem", "last_said"]

TAIL_BYTES = 20_000


@dataclass
class SpeakingSystem(System):
    """A system of one process whose output is `output.log` in its folder."""

    @property
    def output(self) -> Path:
        """The file of its output."""
        return self.job.folder / "output.log"

    def progress(self) -> Progress:
        """What it said last."""
        said = last_said(self.output)
        return Progress(said.get("time", 0.0), said.get("words", 0) / WORDS_PER_LINE)


def last_said(output: Path) -> dict[str, Any]:
    """The last whole JSON line of a file; empty if there is none."""
    if not output.exists():
        return {}
    with output.open("rb") as file:
        file.seek(max(0, output.stat().st_size - TAIL_BYTES))
        lines = file.read().split(b"\n")[:-1]
    for line in reversed(lines):
        # What a library logs may come in between.
        with contextlib.suppress(ValueError):
            if line.startswith(b'{"time"'):
                found: dict[str, Any] = json.loads(line)
                return found
    return {}
