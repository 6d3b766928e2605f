"""`faust -A app demo`, what `make run` starts."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from app.embedded.ports import free_port
from tests.foreground import children, output_until, running

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo of a user whose settings are in a file of the directory that they work in."""
    (tmp_path / "my.env").write_text(f"WORDCOUNT_WEB_PORT={free_port()}\nWORDCOUNT_PRINT=3\n")
    with running("demo", directory=tmp_path, WORDCOUNT_ENV_FILE="my.env") as process:
        yield process


def test_it_counts_and_leaves_nothing(
    demo: subprocess.Popen[str], gone: Callable[[int], bool]
) -> None:
    """It prints the top words of each interval until a signal, and nothing of it lives on."""
    output_until(demo, "Time: ")
    pids = [child.pid for child in children(demo)]
    assert len(pids) == 4  # two servers, a worker and a producer
    demo.terminate()
    _, errors = demo.communicate(timeout=120)
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
    _, errors = demo.communicate(timeout=120)
    assert demo.returncode == 1
    assert "Error: the producer ended by itself with status -9" in errors
