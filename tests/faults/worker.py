"""A worker under faults: its process, its memory over time, and how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.workers import WorkerProcess

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

__all__ = ["Worker"]

READY_SECONDS = 90.0
"""Longest time from the start of a worker until it is ready."""

STOP_SECONDS = 40.0
"""Longest time that a worker may take to stop in order."""

START_SECONDS = 30.0
"""Longest time from the start of a worker until it handles signals."""

_UNAVAILABLE = re.compile(r"Error: .*(no Kafka broker|Cassandra|Kafka)")


class Worker:
    """Worker number `number`: one data directory, one web port, one log, many starts.

    `memory` holds its resident memory in MiB with the time (s) of each look; `cache` holds the part
    of RocksDB, as the worker reports it.
    """

    def __init__(self, number: int, directory: Path, settings: Mapping[str, str]) -> None:
        self.number = number
        self.busy = asyncio.Lock()
        self.wanted = False
        self.peak_mib = 0
        self.memory: list[tuple[float, float]] = []
        self.cache: list[tuple[float, float]] = []
        self.troubles: list[str] = []
        self.waited_for_servers = 0
        self.stop_seconds: list[float] = []
        self._process = WorkerProcess(
            directory / f"worker-{number}",
            directory / f"worker-{number}.log",
            settings,
            app="tests.faults.faulty_app",
        )
        self._started: float | None = None

    def start(self, point: str = "") -> None:
        """Start it; `point` is the fault point at which it ends or halts."""
        self._note(f"start {point}")
        self._process.start(FAULTPOINTS=point)
        self._started = time.monotonic()
        self.wanted = True

    async def until_ready(self) -> None:
        """Wait until it reports itself ready; it may end and be restarted meanwhile."""
        deadline = time.monotonic() + READY_SECONDS
        while not await asyncio.to_thread(lambda: self._process.ready):
            log = self._process.log
            assert time.monotonic() < deadline, f"worker {self.number} is not ready: {log}"
            await asyncio.sleep(0.1)

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self._process.data

    @property
    def running(self) -> bool:
        """Whether it is alive; a halted worker is."""
        return self._process.running

    @property
    def halted(self) -> bool:
        """Whether a SIGSTOP has halted it."""
        with contextlib.suppress(psutil.NoSuchProcess):
            if self.running:
                return bool(psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED)
        return False

    @property
    def exit_status(self) -> int | None:
        """The exit status, minus the signal if one ended the process."""
        return self._process.exit_status

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.wanted = False
        self._process.kill()
        self._note("killed")

    def pause(self) -> None:
        """Halt it by SIGSTOP, if it runs."""
        if self.running:
            self._note("halted")
            self._process.pause()

    def resume(self) -> None:
        """Resume it by SIGCONT, if it runs."""
        if self.running:
            self._note("resumed")
            self._process.resume()

    async def stop(self) -> None:
        """End it by SIGTERM; it must end in order, with status 0, in time."""
        self.wanted = False
        if not self.running or self._started is None:
            return
        self._note("SIGTERM")
        began = time.monotonic()
        status = await asyncio.to_thread(self._process.stop, STOP_SECONDS)
        self.stop_seconds.append(time.monotonic() - began)
        self._note(f"stopped with status {status} in {self.stop_seconds[-1]:.1f} s")
        # Until the worker has installed its handlers, a signal ends it as it ends any process.
        early = status == -signal.SIGTERM and began - self._started < START_SECONDS
        if status != 0 and not early and not self._waits_for_servers():
            self.troubles.append(f"worker {self.number} stopped with status {status}")

    def look(self) -> None:
        """Note its memory; restart a worker that has ended by itself, as a supervisor does."""
        if self._started is None:
            return
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
            peak = re.search(r"VmHWM:\s+(\d+) kB", status)
            self.peak_mib = max(self.peak_mib, int(peak[1]) // 1024 if peak else 0)
            now = re.search(r"VmRSS:\s+(\d+) kB", status)
            self.memory.append((time.time(), int(now[1]) / 1024 if now else 0.0))
        if self.wanted and not self.running and not self.busy.locked():
            self.ended()
            self.start()

    async def ask(self) -> None:
        """Note the memory that RocksDB holds, if the worker answers."""
        status, text = await asyncio.to_thread(self._process.get, "/metrics", 1.0)
        held = re.search(r"^wordcount_state_cache_bytes (\S+)$", text or "", re.MULTILINE)
        if status == 200 and held:
            self.cache.append((time.time(), float(held[1]) / 2**20))

    def ended(self) -> None:
        """Note an end by itself; it is a trouble unless a start found no server."""
        if self._waits_for_servers():
            self.waited_for_servers += 1
        else:
            status = self.exit_status
            self.troubles.append(f"worker {self.number} ended by itself with status {status}")

    def clear_data(self) -> None:
        """Delete its data directory; of a mounted disk, its content."""
        shutil.rmtree(self.data, ignore_errors=True)

    def cut_data(self, rng: random.Random) -> None:
        """Cut files of its RocksDB databases short, like a disk that lost its last writes."""
        files = [path for path in self.data.rglob("*.rocksdb/*") if path.stat().st_size > 64]
        for path in rng.sample(files, min(len(files), 3)):
            os.truncate(path, rng.randrange(path.stat().st_size))
            self._note(f"{path.name} cut")

    def alarms(self) -> list[str]:
        """Lines of its log that would alarm its user."""
        alarming = re.compile(
            r"Traceback|ERROR|CRITICAL|Error:|was never|Unclosed|exception ignored"
        )
        return [line for line in self._process.output.splitlines() if alarming.search(line)]

    def last_line(self) -> str:
        """The last line of its log that the worker itself wrote."""
        lines = self._process.output.splitlines()
        own = [line for line in lines if line.strip() and " ==== " not in line]
        return own[-1] if own else ""

    def _waits_for_servers(self) -> bool:
        # A start that finds no server ends with one clear line, and a supervisor retries it.
        return self.exit_status == 1 and bool(_UNAVAILABLE.match(self.last_line()))

    def _note(self, event: str) -> None:
        self.data.parent.mkdir(parents=True, exist_ok=True)
        with self._process.log.open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%H:%M:%S')} ==== {event}\n")
