"""A worker as a process of its own, that can be killed, halted, stopped and started again."""

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

from app.embedded.ports import free_port
from tests.workers import get, is_ready, start_worker

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from app.embedded.process import Process

__all__ = ["Worker"]

READY_SECONDS = 90.0
"""Longest time that a worker may take to get to work."""

STOP_SECONDS = 40.0
"""Longest time that a worker may take to stop in order."""

START_SECONDS = 30.0
"""Longest time that a worker may take to start before it answers signals."""

_UNAVAILABLE = re.compile(r"Error: .*(no Kafka broker|Cassandra|Kafka)")


class Worker:
    """Worker number `number`: one data directory, one web port, one log, many lives.

    `memory` is what it took, in MiB, at each look, with the time (s); `cache` what of it RocksDB
    held, as the worker reports.
    """

    def __init__(self, number: int, directory: Path, environ: Mapping[str, str]) -> None:
        self.number = number
        self.data = directory / f"worker-{number}"
        self.log = directory / f"worker-{number}.log"
        self.busy = asyncio.Lock()
        self.wanted = False
        self.peak_mib = 0
        self.memory: list[tuple[float, float]] = []
        self.cache: list[tuple[float, float]] = []
        self.troubles: list[str] = []
        self.waited_for_servers = 0
        self.stop_seconds: list[float] = []
        self._environ = {**environ, "WORDCOUNT_WEB_PORT": str(free_port())}
        self._process: Process | None = None
        self._started = 0.0

    def start(self, point: str = "") -> None:
        """Start it; `point` is where it is to end or to halt."""
        self._say(f"start {point}")
        environ = {**os.environ, **self._environ, "FAULTPOINTS": point}
        self._process = start_worker(self.data, self.log, environ, app="tests.faults.faulty_app")
        self._started = time.monotonic()
        self.wanted = True

    async def until_ready(self) -> None:
        """Wait until it says that it does its work."""
        deadline = time.monotonic() + READY_SECONDS
        while not await asyncio.to_thread(is_ready, self._url):
            assert time.monotonic() < deadline, f"worker {self.number} is not ready: {self.log}"
            await asyncio.sleep(0.1)

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._environ['WORDCOUNT_WEB_PORT']}"

    @property
    def running(self) -> bool:
        """Whether it lives; a halted one does."""
        return self._process is not None and self._process.running

    @property
    def halted(self) -> bool:
        """Whether it has been stopped by SIGSTOP."""
        with contextlib.suppress(psutil.NoSuchProcess):
            if self._process is not None:
                return bool(psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED)
        return False

    @property
    def exit_status(self) -> int | None:
        """The exit status, minus the signal if one ended the process."""
        return None if self._process is None else self._process.exit_status

    def kill(self) -> None:
        """SIGKILL."""
        self.wanted = False
        if self._process is not None:
            self._process.kill()
        self._say("killed")

    def freeze(self) -> None:
        """SIGSTOP."""
        if self.running and self._process is not None:
            self._say("halted")
            self._process.pause()

    def thaw(self) -> None:
        """SIGCONT."""
        if self.running and self._process is not None:
            self._say("goes on")
            self._process.resume()

    async def stop(self) -> None:
        """SIGTERM; it must end in order, with status 0, in time."""
        self.wanted = False
        if not self.running or self._process is None:
            return
        self._say("asked to stop")
        began = time.monotonic()
        await asyncio.to_thread(self._process.terminate, STOP_SECONDS)
        self.stop_seconds.append(time.monotonic() - began)
        self._say(f"stopped with status {self.exit_status} in {self.stop_seconds[-1]:.1f} s")
        # Before it has begun to work a signal ends it as it ends any process.
        early = self.exit_status == -signal.SIGTERM and began - self._started < START_SECONDS
        if self.exit_status != 0 and not early and not self._waits_for_servers():
            self.troubles.append(f"worker {self.number} stopped with status {self.exit_status}")

    def look(self) -> None:
        """Note its memory; one that has ended by itself is started again, as a supervisor does."""
        if self._process is None:
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
        """Note what RocksDB holds in memory, if the worker answers."""
        status, text = await asyncio.to_thread(get, f"{self._url}/metrics", 1.0)
        held = re.search(r"^wordcount_state_cache_bytes (\S+)$", text or "", re.MULTILINE)
        if status == 200 and held:
            self.cache.append((time.time(), float(held[1]) / 2**20))

    def ended(self) -> None:
        """Judge how it ended by itself: only a start that finds no server may."""
        if self._waits_for_servers():
            self.waited_for_servers += 1
        else:
            status = self.exit_status
            self.troubles.append(f"worker {self.number} ended by itself with status {status}")

    def clear_data(self) -> None:
        """Delete its data directory; of a disk of its own, what is on it."""
        shutil.rmtree(self.data, ignore_errors=True)

    def cut_data(self, rng: random.Random) -> None:
        """Cut files of its RocksDB databases short, as a disk that lost its last writes."""
        files = [path for path in self.data.rglob("*.rocksdb/*") if path.stat().st_size > 64]
        for path in rng.sample(files, min(len(files), 3)):
            os.truncate(path, rng.randrange(path.stat().st_size))
            self._say(f"{path.name} cut")

    def alarms(self) -> list[str]:
        """Lines of its log that would alarm its user."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        alarming = re.compile(
            r"Traceback|ERROR|CRITICAL|Error:|was never|Unclosed|exception ignored"
        )
        return [line for line in text.splitlines() if alarming.search(line)]

    def last_line(self) -> str:
        """The last line of its log that is its own."""
        log = self.log.read_text(encoding="utf-8", errors="replace")
        own = [line for line in log.splitlines() if line.strip() and " ==== " not in line]
        return own[-1] if own else ""

    def _waits_for_servers(self) -> bool:
        # A start that finds no server ends with one clear line, and a supervisor tries again.
        return self.exit_status == 1 and bool(_UNAVAILABLE.match(self.last_line()))

    def _say(self, what: str) -> None:
        self.data.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%H:%M:%S')} ==== {what}\n")
