"""`faust -A app demo`, what `make run` starts."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from app.embedded.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo of a user whose settings are in a file of the directory that they work in."""
    (tmp_path / "my.env").write_text(f"WORDCOUNT_WEB_PORT={free_port()}\nWORDCOUNT_PRINT=3\n")
    environ = {name: text for name, text in os.environ.items() if not name.startswith("WORDCOUNT")}
    environ |= {"WORDCOUNT_ENV_FILE": "my.env", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "faust", "-A", "app", "demo"],
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], start: str) -> None:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(start):
            return
    raise AssertionError(f"never {start!r}: {lines} {process.communicate()}")


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def test_it_counts_and_leaves_nothing(
    demo: subprocess.Popen[str], gone: Callable[[int], bool]
) -> None:
    """It prints the top words of each interval until a signal, and nothing of it lives on."""
    read_until(demo, "Time: ")
    pids = [child.pid for child in children(demo)]
    assert len(pids) == 4  # two servers, a worker and a producer
    demo.terminate()
    _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 0, errors
    assert all(gone(pid) for pid in pids)


def test_a_producer_that_dies_ends_it(
    demo: subprocess.Popen[str], wait_until: Callable[..., Any]
) -> None:
    """When the producer is killed the demo stops, and says so in one line."""

    def producer() -> psutil.Process | None:
        for child in children(demo):
            with contextlib.suppress(psutil.Error):  # one that has just ended
                if "produce" in child.cmdline():
                    return child
        return None

    wait_until(producer, 90).kill()
    _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert "Error: the producer ended by itself with status -9" in errors
