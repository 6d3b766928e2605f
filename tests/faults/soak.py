"""Random plans of faults, one after another: `make soak FOR=15m [SEED=n]`.

With --long it is one plan over the whole time, in which nothing strikes worker 0: its memory is to
stay flat. Either way the memory of every worker goes to memory.png beside the logs.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import re
import sys
import tempfile
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.disks import can_mount
from tests.faults.plan import draw
from tests.faults.scenario import SESSION_SECONDS, DifferentError, Scenario
from tests.faults.servers import Servers
from tests.faults.text import Shape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.faults.worker import Worker

__all__: list[str] = []

LIMIT_MIB = 1024
"""The default of WORDCOUNT_MEMORY."""

_UNITS = {"s": 1, "m": 60, "h": 3600}


def _seconds(duration: str) -> float:
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", duration)
    if parts is None:
        raise argparse.ArgumentTypeError(f"{duration!r} is no duration such as 90s, 15m, 2h")
    return float(parts[1]) * _UNITS[parts[2]]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--for", dest="seconds", type=_seconds, default=_seconds("15m"))
    parser.add_argument("--seed", type=int, help="of the first round; the next ones count up")
    parser.add_argument("--rounds", type=int, help="stop after so many")
    parser.add_argument("--long", action="store_true", help="one plan over all the time")
    parser.add_argument("--keep-going", action="store_true", help="go on after a failure")
    parser.add_argument("--logs", type=Path, default=Path("build/soak"))
    return parser.parse_args()


def _short(servers: Servers, logs: Path, seed: int) -> Scenario:
    """Twenty seconds or so, of other text and another number of workers each time."""
    rng = random.Random(f"round {seed}")
    workers = rng.choice((2, 2, 3))
    seconds = rng.uniform(12, 24)
    shape = Shape(lines=rng.randrange(40_000, 120_000), words=rng.choice((300, 900, 3000)))
    plan = draw(seed, seconds, workers, SESSION_SECONDS, disk=can_mount())
    return Scenario(servers, logs, seed, plan, workers, seconds, shape=shape)


def _long(servers: Servers, logs: Path, seed: int, seconds: float) -> Scenario:
    """One plan for all the time, that spares worker 0."""
    windows = max(6, int(seconds // 10))
    shape = Shape(lines=int(2_000 * seconds), words=3000, windows=windows)
    plan = draw(seed, seconds, 3, SESSION_SECONDS, spared=1)
    environ = {"WORDCOUNT_RETENTION": "60s", "WORDCOUNT_PRINT": "10"}
    return Scenario(servers, logs, seed, plan, 3, seconds, shape=shape, environ=environ)


async def _run(scenario: Scenario) -> bool:
    """Run it and say what came of it."""
    try:
        await scenario.run()
    except DifferentError as error:
        _say(f"{scenario.report} DIFFERENT\n{error}")
        return False
    _say(f"{scenario.report} equal")
    alarms = (re.sub(r"^[\d:]{8} ", "", line) for line in scenario.report.alarms)  # without times
    for alarm, count in Counter(alarms).most_common(5):
        _say(f"    {count} x {alarm[:200]}")
    return True


def _can_plot() -> bool:
    return find_spec("matplotlib") is not None


def _plot(workers: Iterable[Worker], file: Path) -> None:
    """Draw each worker's memory over time, if the extra bench is there to draw with.

    Most are killed again and again: the one that lived longest is what matters.
    """
    if not _can_plot():
        return
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    oldest, *others = sorted(workers, key=lambda worker: len(worker.memory), reverse=True)
    began = min(worker.memory[0][0] for worker in [oldest, *others] if worker.memory)
    figure, axes = plt.subplots(figsize=(10, 4.5), layout="constrained")

    def line(looks: list[tuple[float, float]], label: str | None, color: str, width: float) -> None:
        minutes = [(at - began) / 60 for at, _ in looks]
        axes.plot(minutes, [mib for _, mib in looks], label=label, color=color, linewidth=width)

    for worker in others:
        line(worker.memory, None, "#ced4da", 0.6)
    line(oldest.memory, f"worker {oldest.number}", "#0b7285", 1.5)
    line(oldest.cache, "of it RocksDB's cache", "#e8590c", 1.5)
    axes.legend(loc="center right")
    axes.axhline(LIMIT_MIB, color="#c92a2a", linestyle=":")
    axes.annotate("WORDCOUNT_MEMORY", (0, LIMIT_MIB), (4, -12), textcoords="offset points")
    axes.set(xlabel="minutes", ylabel="resident memory, MiB", ylim=(0, 1.1 * LIMIT_MIB))
    axes.set_title("Memory of workers under faults: the one that lived longest, the others in grey")
    figure.savefig(file, dpi=120)
    plt.close(figure)
    _say(f"memory: {file}")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is a command


def main() -> int:
    """Run until the time is over; 1 if a round failed."""
    arguments = _arguments()
    for client in ("aiokafka", "cassandra"):
        logging.getLogger(client).setLevel(logging.CRITICAL)  # of course they lose their servers
    seed = arguments.seed if arguments.seed is not None else random.randrange(1 << 30)
    ends = time.monotonic() + arguments.seconds
    plot = "" if _can_plot() else "; no plot of memory without the extra bench"
    _say(f"first seed: {seed}{plot}")
    arguments.logs.mkdir(parents=True, exist_ok=True)
    logs = Path(tempfile.mkdtemp(prefix="run-", dir=arguments.logs)).absolute()
    totals: Counter[str] = Counter()
    struck: Counter[str] = Counter()
    workers: list[Worker] = []
    failed: list[int] = []
    with Servers() as servers:
        while time.monotonic() < ends and (
            not arguments.rounds or totals["rounds"] < arguments.rounds
        ):
            scenario = (
                _long(servers, logs, seed, arguments.seconds)
                if arguments.long
                else _short(servers, logs, seed)
            )
            good = asyncio.run(_run(scenario))
            totals.update(rounds=1, lines=scenario.report.lines, rows=scenario.report.rows)
            struck.update(scenario.report.struck)
            workers += scenario.pool
            if not good:
                failed.append(seed)
                if not arguments.keep_going:
                    break
                for server in (servers.kafka, servers.cassandra):
                    if server.running:
                        server.resume()
                    else:
                        server.start()
            seed += 1
    _plot(workers, logs / "memory.png")
    _say(f"{totals['rounds']} rounds, {totals['lines']:,} lines, {totals['rows']:,} rows compared")
    kinds: Counter[str] = Counter()
    for kind, count in struck.items():
        kinds[re.sub(r":\d+", "", kind)] += count
    _say(", ".join(f"{count} x {kind}" for kind, count in sorted(kinds.items())))
    if failed:
        _say(f"failed: {' '.join(f'SEED={seed}' for seed in failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
