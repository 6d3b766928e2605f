"""Runs a command of the application in the foreground, as a user does."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil

from tests.workers import ROOT, environ_with, faust

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["children", "output_until", "running"]


@contextmanager
def running(
    *arguments: str, directory: Path = ROOT, **environ: str
) -> Iterator[subprocess.Popen[str]]:
    """Run `faust -A app …` in a directory, without WORDCOUNT_ settings but those of `environ`."""
    with subprocess.Popen(
        faust(*arguments),
        cwd=directory,
        env=environ_with(**environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            # Has no effect on a process that has ended, which is the normal case.
            process.kill()


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """All descendants of the process."""
    return list(psutil.Process(process.pid).children(recursive=True))


def output_until(process: subprocess.Popen[str], start: str) -> str:
    """Return the process's output up to a line that begins with `start`."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(start):
            return "".join(lines)
    raise AssertionError(f"never {start!r}: {lines} {process.communicate()}")
