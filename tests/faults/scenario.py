"""One scenario: workers count what is produced while a plan of faults strikes; then the balance."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import signal
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.faults import disks, text
from tests.faults.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.faults.plan import Fault
    from tests.faults.servers import Servers

__all__ = ["SESSION_SECONDS", "DifferentError", "Report", "Scenario"]

SESSION_SECONDS = 4.0
"""After this long without a heartbeat the group takes a worker for dead."""

SETTLED_SECONDS = 2.0
"""How long nothing may change once all counts are there."""

TOP_WORDS = 5
"""Ranks of each partition in the table of top words."""

LOOKS_A_QUESTION = 10
"""Workers are looked at twice a second, and asked each so many looks."""

POINT_SECONDS = 30.0
"""How long a worker may take to come by the place where it is to end."""

Rows = dict[tuple[int, str], int]


class DifferentError(AssertionError):
    """The counts in Cassandra differ from those of the text, or a worker misbehaved."""


@dataclass
class Report:
    """The faults and the findings of a scenario."""

    seed: int
    plan: Sequence[Fault]
    logs: Path
    lines: int = 0
    late: int = 0
    rejected: int = 0
    rows: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    peaks_mib: list[int] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        struck = ", ".join(f"{count} x {kind}" for kind, count in sorted(self.struck.items()))
        return (
            f"seed {self.seed}: {struck or 'no fault'}; {self.lines:,} lines, {self.rows:,} rows, "
            f"{self.late} late, {self.rejected} rejected; peak {max(self.peaks_mib, default=0)} MiB"
            f" a worker; {self.seconds:.0f} s"
        )


@dataclass
class Scenario:
    """Runs a plan on `workers` workers while `seconds` of text come in."""

    servers: Servers
    directory: Path
    seed: int
    plan: Sequence[Fault] = ()
    workers: int = 2
    seconds: float = 20.0
    deadline: float = 120.0
    shape: text.Shape = text.Shape()
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.name = f"faults_{uuid.uuid4().hex[:8]}"
        self.logs = self.directory / self.name
        self.expected = text.Expected(self.shape)
        self.report = Report(self.seed, self.plan, self.logs)
        self.pool: list[Worker] = []
        self.highest: Rows = {}
        self.fallen: list[str] = []
        self._rng = random.Random(f"faults {self.seed}")
        self._kafka_busy = asyncio.Lock()
        self._cassandra_busy = asyncio.Lock()

    async def run(self) -> Report:
        """Run it. Raises DifferentError with all that is known when the promise does not hold."""
        began = time.monotonic()
        await asyncio.to_thread(self.servers.make_table, self.name)
        await self.servers.make_topic(f"{self.name}_lines", self.shape.partitions)
        watching = asyncio.create_task(self._watch())
        small = self.logs / "worker-0" if any(f.kind == "disk" for f in self.plan) else None
        if small is not None:
            disks.mount(small)
        try:
            for _ in range(self.workers):
                self._add_worker()
            # On a slow machine faults would strike before there is anything to strike.
            await asyncio.gather(*(worker.until_ready() for worker in self.pool))
            await asyncio.gather(self._produce(), *(self._strike(fault) for fault in self.plan))
            await self._until_equal(watching)
            await asyncio.gather(*(worker.stop() for worker in self.pool))
            watching.cancel()
            await self._check()
        finally:
            watching.cancel()
            for worker in self.pool:
                worker.kill()
                self.report.peaks_mib.append(worker.peak_mib)
                self.report.alarms.extend(worker.alarms())
            self.report.seconds = time.monotonic() - began
            if small is not None:
                disks.unmount(small)
        await asyncio.to_thread(self.servers.drop_table, self.name)
        return self.report

    def _add_worker(self) -> Worker:
        settings = {
            "WORDCOUNT_BROKER": f"kafka://{self.servers.kafka.address}",
            "WORDCOUNT_CASSANDRA": self.servers.cassandra.address,
            "WORDCOUNT_ID": self.name,
            "WORDCOUNT_LINES": f"{self.name}_lines",
            "WORDCOUNT_KEYSPACE": self.name,
            "WORDCOUNT_PARTITIONS": str(self.shape.partitions),
            "WORDCOUNT_WINDOW": f"{self.shape.window}ms",
            "WORDCOUNT_GRACE": f"{self.shape.grace}ms",
            "WORDCOUNT_CHECKPOINT_INTERVAL": "300ms",
            "WORDCOUNT_FLUSH_INTERVAL": "400ms",
            "WORDCOUNT_PRINT": "0",
            "WORDCOUNT_TOP_WORDS": str(TOP_WORDS),
            # Faust's own settings.
            "BROKER_SESSION_TIMEOUT": str(SESSION_SECONDS),
            "BROKER_HEARTBEAT_INTERVAL": "1",
            **self.environ,
        }
        worker = Worker(len(self.pool), self.logs, settings)
        self.pool.append(worker)
        worker.start()
        return worker

    async def _produce(self) -> None:
        start = (int(time.time() * 1000) - 3_600_000) // self.shape.window * self.shape.window
        messages = list(text.messages(self.seed, self.shape, start))
        await self.servers.produce(
            f"{self.name}_lines", messages, self.expected.add, self.seconds, len(messages)
        )
        self.report.lines = self.expected.lines
        self.report.late = self.expected.late
        self.report.rejected = self.expected.rejected

    # Faults

    async def _strike(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at)
        if fault.kind.startswith("kafka"):
            async with self._kafka_busy:
                await self._strike_server(fault)
        elif fault.kind.startswith("cassandra"):
            async with self._cassandra_busy:
                await self._strike_server(fault)
        elif fault.kind == "join":
            worker = self._add_worker()
            await asyncio.sleep(fault.seconds)
            async with worker.busy:
                await worker.stop()
        elif fault.kind == "roll":
            for worker in self.pool[: self.workers]:
                async with worker.busy:
                    await self._stop(worker, fault)
                await worker.until_ready()
        else:
            worker = self.pool[fault.worker]
            async with worker.busy:
                await getattr(self, f"_{fault.kind}")(worker, fault)
        self.report.struck[fault.label] += 1

    async def _strike_server(self, fault: Fault) -> None:
        name, how = fault.kind.split()
        server = getattr(self.servers, name)
        if how == "freeze":
            server.pause()
            await asyncio.sleep(fault.seconds)
            server.resume()
        else:
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(fault.seconds)
            await asyncio.to_thread(server.start)

    async def _kill(self, worker: Worker, fault: Fault) -> None:
        worker.kill()
        await asyncio.sleep(fault.seconds)
        self._spoil(worker, fault.data)
        worker.start(fault.point)

    async def _stop(self, worker: Worker, fault: Fault) -> None:
        await worker.stop()
        await asyncio.sleep(fault.seconds)
        worker.start()

    async def _freeze(self, worker: Worker, fault: Fault) -> None:
        worker.pause()
        await asyncio.sleep(fault.seconds)
        worker.resume()

    async def _point(self, worker: Worker, fault: Fault) -> None:
        """Start a worker that ends, or halts, at a place in the code; wait until it does."""
        worker.kill()
        self._spoil(worker, fault.data)
        worker.start(fault.point)
        deadline = time.monotonic() + POINT_SECONDS
        while worker.running and not worker.halted and not self._done():
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.02)
        if worker.running and not worker.halted:
            # Not so often did it come by there.
            self.report.struck["point not reached"] += 1
            worker.kill()
        elif not worker.running and worker.exit_status != -signal.SIGKILL:
            worker.ended()
        await asyncio.sleep(fault.seconds)
        if worker.running:
            worker.resume()
        else:
            worker.start()

    async def _disk(self, worker: Worker, fault: Fault) -> None:
        """Fill the disk of a worker's data until it ends; it must say so in one line."""
        filler = worker.data / "filler"
        worker.wanted = False
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
        deadline = time.monotonic() + fault.seconds
        while worker.running and time.monotonic() < deadline:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.1)
        if worker.running:
            self.report.struck["disk not noticed"] += 1
            worker.kill()
        elif worker.exit_status != 1 or not worker.last_line().startswith("Error: "):
            worker.troubles.append(f"full disk: {worker.exit_status}, {worker.last_line()}")
        filler.unlink()
        worker.start()

    def _spoil(self, worker: Worker, data: str) -> None:
        if data == "empty":
            worker.clear_data()
        elif data == "cut":
            worker.cut_data(self._rng)

    # The balance

    def _done(self) -> bool:
        return bool(self.expected.counts) and self.highest == self.expected.counts

    async def _watch(self) -> None:
        for look in itertools.count():
            for worker in self.pool:
                worker.look()
            if look % LOOKS_A_QUESTION == 0:
                await asyncio.gather(*(worker.ask() for worker in self.pool))
            rows = await asyncio.to_thread(self.servers.rows, self.name)
            if rows is not None:
                self._note(rows)
            await asyncio.sleep(0.5)

    def _note(self, rows: Rows) -> None:
        for key, before in self.highest.items():
            if rows.get(key, 0) < before:
                self.fallen.append(f"{key}: {before} → {rows.get(key, 0)}")
        self.highest = {key: max(count, self.highest.get(key, 0)) for key, count in rows.items()}

    async def _until_equal(self, watching: asyncio.Task[None]) -> None:
        deadline = time.monotonic() + self.deadline
        while time.monotonic() < deadline and not self._done() and not watching.done():
            self._check_workers()
            await asyncio.sleep(0.2)
        if watching.done():
            await watching
        if not self._done():
            self._fail(f"not equal within {self.deadline:.0f} s", self.highest)
        # While workers live: lists of a partition that changes hands are its next owner's to write.
        if wrong := await self._wrong_tops():
            self._fail(f"top words differ: {wrong}", self.highest)
        await asyncio.sleep(SETTLED_SECONDS)

    async def _check(self) -> None:
        rows = await asyncio.to_thread(self.servers.rows, self.name)
        if rows is None:
            raise DifferentError("Cassandra can't be asked")
        self._note(rows)
        self.report.rows = len(rows)
        wrong = await self._wrong_tops()
        late, rejected = [
            await self.servers.count_records(f"{self.name}-{topic}", self.shape.partitions)
            for topic in ("late", "rejected")
        ]
        self._check_workers()
        if rows != self.expected.counts:
            self._fail("different at the end", rows)
        if self.highest != self.expected.counts:
            self._fail("some rows were higher once", self.highest)
        if self.fallen:
            self._fail(f"{len(self.fallen)} counts fell: {'; '.join(self.fallen[:10])}", rows)
        if wrong:
            self._fail(f"top words differ: {wrong}", rows)
        if (late, rejected) != (self.expected.late, self.expected.rejected):
            self._fail(
                f"late, rejected: {late}, {rejected}; "
                f"expected {self.expected.late}, {self.expected.rejected}",
                rows,
            )

    async def _wrong_tops(self) -> dict[int, list[tuple[str, int]]]:
        """Windows whose top words in Cassandra differ: lists go after the rows they are made of."""
        deadline = time.monotonic() + self.deadline
        while True:
            tops = await asyncio.to_thread(self.servers.top_words, self.name)
            found = {start: tops.get(start, [])[:TOP_WORDS] for start in self._tops()}
            wrong = {
                start: found[start] for start, top in self._tops().items() if found[start] != top
            }
            if not wrong or time.monotonic() > deadline:
                return wrong
            await asyncio.sleep(0.5)

    def _tops(self) -> dict[int, list[tuple[str, int]]]:
        """The first words of each window by the text."""
        words: dict[int, list[tuple[str, int]]] = {}
        for (start, word), count in self.expected.counts.items():
            words.setdefault(start, []).append((word, count))
        return {
            start: sorted(of_window, key=lambda item: (-item[1], item[0]))[:TOP_WORDS]
            for start, of_window in words.items()
        }

    def _check_workers(self) -> None:
        troubles = [trouble for worker in self.pool for trouble in worker.troubles]
        if troubles:
            self._fail("; ".join(troubles), self.highest)

    def _fail(self, why: str, rows: Rows) -> None:
        expected = self.expected.counts
        different = sorted(
            key for key in rows.keys() | expected.keys() if rows.get(key) != expected.get(key)
        )
        words = sum(rows.values()) - sum(expected.values())
        over = sum(rows.get(key, 0) > expected.get(key, 0) for key in different)
        lines = [
            f"{why} (seed {self.seed})",
            *(f"  {fault}" for fault in self.plan),
            f"{len(different)} of {len(expected)} rows differ, {over} of them too high",
            f"{words:+} words in all; logs in {self.logs}",
            *(
                f"  {start} {word!r}: {rows.get((start, word))}, "
                f"expected {expected.get((start, word))}"
                for start, word in different[:20]
            ),
        ]
        raise DifferentError("\n".join(lines))
