"""Counts lost and repeated lines of each source while Kafka is away or its producer is killed.

`python -m tests.benchmarks.sources_away [SOURCE…] [--seconds N] [--kill]` prints, for each
source, how many lines were sent, and how many of them are in Kafka afterwards, once and more than
once. Every source receives lines at a steady rate. Kafka is killed (SIGKILL) and restarted
`--seconds` later. With `--kill` the producer is killed three times and restarted at once.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import subprocess
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from app.embedded import EmbeddedKafka
from tests.delivered import assign, consumer, delivered, lines_in
from tests.peers.feeds import FEEDS, Kafka
from tests.producers import Produce

if TYPE_CHECKING:
    from tests.peers.feeds import Feed
    from tests.producers import Watched

RATE = 2000
"""Lines a second of each feed."""

STEP_SECONDS = 0.25
VOLATILE = ("stdin", "tcp", "zeromq", "x")
"""Sources that are killed with --write-ahead."""

_SECONDS_TO_SETTLE = 15.0


class Feeding(threading.Thread):
    """Sends numbered lines until stopped; `sent` counts the lines so far."""

    def __init__(self, feed: Feed) -> None:
        super().__init__(daemon=True)
        self._feed = feed
        self._stopped = threading.Event()
        self.sent = 0

    def run(self) -> None:
        """Send some lines each quarter of a second."""
        step = int(RATE * STEP_SECONDS)
        while not self._stopped.wait(STEP_SECONDS):
            self._feed.send(self.sent, self.sent + step)
            self.sent += step

    def stop(self) -> None:
        """Stop once the last lines are sent."""
        self._stopped.set()
        self.join()


async def settled(broker: str, feed: Feed, number: int) -> None:
    """Wait until `number` different lines are in Kafka, or no more arrive."""
    found: set[bytes] = set()
    expected = len(feed.lines(number))
    grown = time.monotonic()
    async with consumer(broker) as client:
        await assign(client, "lines")
        while len(found) < expected and time.monotonic() < grown + _SECONDS_TO_SETTLE:
            before = len(found)
            for records in (await client.getmany(timeout_ms=500)).values():
                found.update(line for record in records for line in record.value.split(b"\n"))
            if len(found) > before:
                grown = time.monotonic()


async def _outage(kafka: EmbeddedKafka, seconds: float) -> None:
    await asyncio.to_thread(kafka.kill)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(kafka.start)


async def measure(name: str, seconds: float, *, kill: bool) -> str:
    """Measure one source before, during and after its fault."""
    with EmbeddedKafka() as kafka, TemporaryDirectory() as made, ExitStack() as stack:
        if name == "kafka":
            Kafka.broker = stack.enter_context(EmbeddedKafka()).address
        feed = await asyncio.to_thread(FEEDS[name], Path(made))
        produce = Produce(kafka.address, "lines", Path(made))
        produce.environ |= feed.environ
        more = ["--write-ahead"] if kill and name in VOLATILE else []

        def start() -> Watched:
            return produce.watch(*feed.arguments, *more, stdin=feed.stdin or subprocess.DEVNULL)

        run = start()
        feeding = Feeding(feed)
        feeding.start()
        await delivered(kafka.address, "lines", 200)
        if kill:
            for _ in range(3):
                await asyncio.sleep(seconds / 3)
                run.kill()
                run = start()
        else:
            await _outage(kafka, seconds)
        before = time.monotonic()
        await asyncio.sleep(3)
        await asyncio.to_thread(feeding.stop)
        await settled(kafka.address, feed, feeding.sent)
        caught_up = time.monotonic() - before
        status, _ = run.stop()
        found = Counter(await lines_in(kafka.address, "lines"))
        expected = Counter(feed.lines(feeding.sent))
        feed.close()
        return (
            f"{' '.join([name, *more]):<22} {expected.total():>9,} lines sent, "
            f"{(expected - found).total()} missing, {(found - expected).total()} twice, "
            f"settled {caught_up:.0f} s after; status {status}"
        )


async def run(names: list[str], seconds: float, *, kill: bool) -> None:
    """Measure and print."""
    for name in names:
        print(await measure(name, seconds, kill=kill), flush=True)  # noqa: T201


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sources", nargs="*", default=list(FEEDS), metavar="SOURCE")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--kill", action="store_true")
    arguments = parser.parse_args()
    # Hides connection errors while Kafka is away.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asyncio.run(run(arguments.sources, arguments.seconds, kill=arguments.kill))


if __name__ == "__main__":
    main()
