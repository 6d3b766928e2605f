"""Starts `faust -A app produce` for tests."""

from __future__ import annotations

import array
import fcntl
import json
import os
import re
import signal
import subprocess
import termios
import time
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from app.embedded.process import Process
from tests.workers import environ_with, faust

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Produce", "Producer", "Watched", "end", "unread"]


def _environ(broker: str, topic: str, **more: str) -> dict[str, str]:
    settings = {
        "WORDCOUNT_BROKER": f"kafka://{broker}",
        "WORDCOUNT_LINES": topic,
        "WORDCOUNT_ID": topic,
    }
    return environ_with(**{**settings, **more})


class Produce:
    """Starts `faust -A app produce` with any arguments, for one broker and one topic."""

    def __init__(self, broker: str, topic: str, folder: Path) -> None:
        self.environ = _environ(broker, topic, XDG_STATE_HOME=str(folder))
        """The environment variables of the processes; a test may add to them."""
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(
        self,
        *arguments: str | Path,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stderr: int | IO[bytes] = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        """Start it without waiting."""
        process = subprocess.Popen(
            faust("produce", *map(str, arguments)),
            env=self.environ,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
        self.processes.append(process)
        return process

    def watch(self, *arguments: str | Path, stdin: int | IO[bytes] = subprocess.DEVNULL) -> Watched:
        """Start it, with its stderr in a file that can be read while it runs."""
        number = len(self.processes)
        with (self.folder / f"stderr-{number}").open("wb") as stderr:
            process = self.start(*arguments, stdin=stdin, stderr=stderr)
        return Watched(process, self.folder / f"stderr-{number}")

    def __call__(self, *arguments: str | Path) -> tuple[int, str, str]:
        """Run it to its end: status, stdout, stderr."""
        return end(self.start(*arguments))


class Watched(NamedTuple):
    """A running producer and the file of its stderr."""

    process: subprocess.Popen[bytes]
    said: Path

    @property
    def port(self) -> int | None:
        """The port on which it reports to listen; None: not yet."""
        found = re.search(r"Listening on \S+:(\d+)", self.said.read_text())
        return int(found[1]) if found else None

    def kill(self) -> None:
        """End it by kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> tuple[int, str]:
        """End it by Ctrl-C; status and stdout."""
        self.process.send_signal(signal.SIGINT)
        out, _ = self.process.communicate(timeout=120)
        return self.process.returncode, out.decode()


class Producer:
    """One subcommand with its arguments and a log; `start` may be called again after its end."""

    def __init__(self, broker: str, topic: str, folder: Path, *arguments: str, **more: str) -> None:
        self._command = faust("produce", *arguments)
        self._environ = _environ(broker, topic, **more)
        self.output = folder / f"producer-{len(list(folder.glob('producer-*')))}.log"
        self._process: Process | None = None

    def start(self) -> Producer:
        """Start it without waiting."""
        self._process = Process(self._command, self.output, self._environ)
        return self

    @property
    def said(self) -> str:
        """Its output so far."""
        return self.output.read_text() if self.output.exists() else ""

    def wait_until(self, condition: Callable[[], Any], seconds: float = 120) -> Any:
        """Wait for a condition; return its result once it is true."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, f"not within {seconds} s:\n{self.said}"
            time.sleep(0.02)
        return value

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it by SIGKILL if it runs."""
        if self._process is not None and self._process.running:
            self._process.kill()

    def stop(self, seconds: float = 120) -> dict[str, Any]:
        """End it by Ctrl-C; the figures that it prints with --json."""
        os.kill(self.pid, signal.SIGINT)
        return self.end(seconds)

    def end(self, seconds: float = 120) -> dict[str, Any]:
        """Wait for its end; the figures that it prints with --json."""
        process = self._process
        assert process is not None
        self.wait_until(lambda: not process.running, seconds)
        return {"status": process.exit_status, **self._figures()}

    def _figures(self) -> dict[str, Any]:
        last = [line for line in self.said.splitlines() if line.startswith("{")]
        return json.loads(last[-1]) if last else {}


def end(process: subprocess.Popen[bytes], seconds: float = 120) -> tuple[int, str, str]:
    """Wait for the end of a process: status, stdout, stderr."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, (out or b"").decode(), (err or b"").decode()


def unread(pipe: Any) -> int:
    """Count the bytes that were written to a pipe and not yet read from it."""
    number = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, number)
    return number[0]
