"""A child process: paused, killed, and ended with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from app.embedded.process import Process, release, send_pid, start_watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SPIN = """
import threading
def spin():
    while True:
        sum(range(1000))
for _ in range(8):
    threading.Thread(target=spin).start()
print("up", flush=True)
"""
SLEEP = (sys.executable, "-I", "-S", "-c", "import time; print('up', flush=True); time.sleep(600)")
ROOT = Path(__file__).parents[3]


def start(directory: Path) -> Process:
    return Process(SLEEP, directory / "output.log", dict(os.environ))


@pytest.fixture
def process(tmp_path: Path, wait_until: Callable[..., Any]) -> Iterator[Process]:
    started = start(tmp_path)
    wait_until(lambda: "up" in (tmp_path / "output.log").read_text())
    yield started
    started.kill()


def test_pause_and_resume(process: Process, wait_until: Callable[..., Any]) -> None:
    """A paused process lives and does nothing until it is resumed."""
    child = psutil.Process(process.pid)
    process.pause()
    assert child.status() == psutil.STATUS_STOPPED
    assert process.running
    process.resume()
    wait_until(lambda: child.status() == psutil.STATUS_SLEEPING)


def test_no_thread_runs_after_a_pause(tmp_path: Path, wait_until: Callable[..., Any]) -> None:
    """`pause` returns when all threads have halted, not when the signal has been sent."""
    busy = Process([*SLEEP[:-1], SPIN], tmp_path / "output.log", dict(os.environ))
    try:
        wait_until(lambda: "up" in (tmp_path / "output.log").read_text())
        for _ in range(20):
            busy.pause()
            tasks = Path(f"/proc/{busy.pid}/task").glob("*/stat")
            assert {stat.read_text().rpartition(") ")[2][0] for stat in tasks} == {"T"}
            busy.resume()
    finally:
        busy.kill()


def test_pausing_a_process_that_has_ended_returns(process: Process) -> None:
    """`pause` does not wait for a process that will never halt."""
    os.kill(process.pid, signal.SIGKILL)
    process.pause()
    process.kill()
    process.pause()
    assert not process.running


def test_terminate_ends_a_paused_process(process: Process) -> None:
    """A paused process does not handle SIGTERM, so `terminate` resumes it."""
    process.pause()
    process.terminate(10)
    assert process.exit_status == -15


def test_a_child_outlives_the_thread_that_started_it(
    tmp_path: Path, wait_until: Callable[..., Any]
) -> None:
    """A child lives on when the thread that called `Process` has ended."""
    started: list[Process] = []
    thread = threading.Thread(target=lambda: started.append(start(tmp_path)))
    thread.start()
    thread.join()
    wait_until(lambda: "up" in (tmp_path / "output.log").read_text())
    assert started[0].running
    started[0].kill()
    assert not started[0].running


START_AND_HANG = """
import os, sys, time
from pathlib import Path
from app.embedded.process import Process
child = Process(sys.argv[2:], Path(sys.argv[1]) / "output.log", dict(os.environ))
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_child_dies_with_its_parent(
    tmp_path: Path, wait_until: Callable[..., Any], gone: Callable[[int], bool]
) -> None:
    """After kill -9 of the Python process its child is gone."""
    command = [sys.executable, "-c", START_AND_HANG, str(tmp_path), *SLEEP]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not gone(child)
        parent.kill()
    wait_until(lambda: gone(child))


WATCH_AND_HANG = """
import sys, time
from app.embedded.process import start_watcher, send_pid
watcher = start_watcher()
send_pid(watcher, int(sys.argv[1]))
print("watching", flush=True)
time.sleep(600)
"""


def test_the_watcher_kills_after_the_parents_death(
    process: Process, wait_until: Callable[..., Any]
) -> None:
    """On systems without a parent-death signal, a watcher kills the child of a killed process."""
    command = [sys.executable, "-c", WATCH_AND_HANG, str(process.pid)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "watching\n"
        assert process.running
        parent.kill()
    wait_until(lambda: not process.running)


def test_a_released_watcher_kills_nobody(process: Process) -> None:
    """A released watcher ends and leaves the child alone."""
    watcher = start_watcher()
    send_pid(watcher, process.pid)
    release(watcher)
    assert watcher.returncode == 0
    assert process.running


def test_the_portable_way_works_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On other systems than Linux a process starts and ends with a watcher."""
    watchers: list[subprocess.Popen[bytes]] = []

    def starting() -> subprocess.Popen[bytes]:
        watchers.append(start_watcher())
        return watchers[-1]

    monkeypatch.setattr("app.embedded.process.start_watcher", starting)
    monkeypatch.setattr("app.embedded.process.sys.platform", "darwin")
    process = start(tmp_path)
    (watcher,) = watchers
    process.kill()
    assert watcher.returncode == 0
