"""Measures how fast a worker recovers its table: `python -m tests.benchmarks.recovery [ROWS]`.

A worker counts ROWS distinct words, and ends. It is then started with its data directory, to
measure the start alone, and without it. The difference is the recovery from the changelog.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path

from app.embedded import EmbeddedCassandra, EmbeddedKafka, close_together, start_together
from tests.benchmarks.memory import ScenarioRun
from tests.benchmarks.memory_scenarios import SCENARIOS

__all__: list[str] = []

LONGEST_SECONDS = 3600.0
"""Time limit of a recovery."""


def _seconds_to_ready(run: ScenarioRun) -> float:
    began = time.monotonic()
    worker = run.start_worker()
    worker.wait_until_ready(LONGEST_SECONDS)
    took = time.monotonic() - began
    worker.stop(60)
    return took


async def _count(run: ScenarioRun, rows: int) -> None:
    run.folder.mkdir(parents=True)
    await run.fill(rows / 10_000_000)
    worker = run.start_worker()
    counted = await run.until_counted(worker)
    worker.stop(60)
    assert counted == run.words, f"{counted} of {run.words} words"


def main() -> int:
    """Measure and print the result."""
    parser = argparse.ArgumentParser(description="Measure the seconds of a recovery.")
    parser.add_argument("rows", nargs="?", type=int, default=1_000_000)
    rows: int = parser.parse_args().rows
    servers = EmbeddedKafka(heap="1g"), EmbeddedCassandra()
    start_together(*servers)
    try:
        with tempfile.TemporaryDirectory(prefix="wordcount-recovery-") as folder:
            run = ScenarioRun(SCENARIOS["distinct"], servers, "1GiB", Path(folder))
            asyncio.run(_count(run, rows))
            alone = _seconds_to_ready(run)
            shutil.rmtree(run.data)
            whole = _seconds_to_ready(run)
    finally:
        close_together(*servers)
    print(  # noqa: T201 - this is a command
        f"{rows:,} rows: ready after {whole:.1f} s, {alone:.1f} s of them without recovery; "
        f"{rows / max(0.1, whole - alone):,.0f} rows/s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
