"""A lock has one holder among all processes, and its end releases the lock."""

import subprocess
import sys
import threading
from pathlib import Path

from app.file_lock import is_locked, lock, try_lock
from tests.workers import ROOT


def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    """A second attempt returns None until the file is closed."""
    path = tmp_path / "lock"
    with lock(path):
        assert try_lock(path) is None
        assert is_locked(path)
    assert not is_locked(path)
    second = try_lock(path)
    assert second is not None
    second.close()


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    """`lock` returns once the holder has closed its file."""
    path = tmp_path / "lock"
    entered = threading.Event()

    def enter() -> None:
        with lock(path):
            entered.set()

    with lock(path):
        waiting = threading.Thread(target=enter)
        waiting.start()
        assert not entered.wait(0.05)
    assert entered.wait(10)
    waiting.join()


def test_a_killed_process_releases_its_lock(tmp_path: Path) -> None:
    """The kernel releases it, so no stale lock is left."""
    path = tmp_path / "lock"
    script = (
        "import os, signal, pathlib, sys; from app.file_lock import lock;"
        "held = lock(pathlib.Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ran = subprocess.run([sys.executable, "-c", script, str(path)], cwd=ROOT, check=False)
    assert ran.returncode == -9
    assert not is_locked(path)
