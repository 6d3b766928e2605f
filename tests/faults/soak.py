"""Random plans of faults, one after another: `make soak FOR=15m [SEED=n]`."""

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
from pathlib import Path

from tests.faults.plan import draw
from tests.faults.scenario import SESSION_SECONDS, DifferentError, Scenario
from tests.faults.servers import Servers
from tests.faults.text import Shape

__all__: list[str] = []

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
    parser.add_argument("--keep-going", action="store_true", help="go on after a failure")
    parser.add_argument("--logs", type=Path, default=Path("build/soak"))
    return parser.parse_args()


async def _round(servers: Servers, logs: Path, seed: int) -> tuple[bool, Scenario]:
    rng = random.Random(f"round {seed}")
    workers = rng.choice((2, 2, 3))
    seconds = rng.uniform(10, 30)
    shape = Shape(lines=rng.randrange(40_000, 200_000), words=rng.choice((300, 900, 3000)))
    plan = draw(seed, seconds, workers, SESSION_SECONDS)
    scenario = Scenario(servers, logs, seed, plan, workers, seconds, shape=shape)
    try:
        await scenario.run()
    except DifferentError as error:
        _say(f"{scenario.report} DIFFERENT\n{error}")
        return False, scenario
    _say(f"{scenario.report} equal")
    for alarm, count in Counter(line[9:] for line in scenario.report.alarms).most_common(5):
        _say(f"    {count} x {alarm[:200]}")
    return True, scenario


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is a command


def main() -> int:
    """Run until the time is over; 1 if a round failed."""
    arguments = _arguments()
    for client in ("aiokafka", "cassandra"):
        logging.getLogger(client).setLevel(logging.CRITICAL)  # of course they lose their servers
    seed = arguments.seed if arguments.seed is not None else random.randrange(1 << 30)
    ends = time.monotonic() + arguments.seconds
    arguments.logs.mkdir(parents=True, exist_ok=True)
    logs = Path(tempfile.mkdtemp(prefix="run-", dir=arguments.logs)).absolute()
    totals: Counter[str] = Counter()
    struck: Counter[str] = Counter()
    failed: list[int] = []
    with Servers() as servers:
        while time.monotonic() < ends and (
            not arguments.rounds or totals["rounds"] < arguments.rounds
        ):
            good, scenario = asyncio.run(_round(servers, logs, seed))
            totals.update(rounds=1, lines=scenario.report.lines, rows=scenario.report.rows)
            struck.update(scenario.report.struck)
            if not good:
                failed.append(seed)
                if not arguments.keep_going:
                    break
                for server in (servers.kafka, servers.cassandra):
                    if not server.running:
                        server.start()
            seed += 1
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
