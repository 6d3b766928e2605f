"""Debian programs for tests: the machine's own, else fetched and unpacked beside the jars."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from app.embedded.jars import cache_directory
from app.file_lock import lock

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["environ", "program"]


def program(name: str, *packages: str) -> str:
    """Return the path of a program from `packages`, which are unpacked but not installed."""
    found = shutil.which(name) or shutil.which(name, path=_search_path())
    if found is not None:
        return found
    if shutil.which("apt-get") is None:
        pytest.skip(f"there is no {name} here, and no apt-get to fetch it")
    root = _root()
    with lock(root.with_suffix(".lock")):
        root.mkdir(exist_ok=True)
        if _run(["apt-get", "download", *packages], root).returncode:
            update = _run(["apt-get", "update"], root)
            fetched = _run(["apt-get", "download", *packages], root)
            assert fetched.returncode == 0, update.stderr + fetched.stderr
        for package in root.glob("*.deb"):
            assert _run(["dpkg-deb", "-x", str(package), "."], root).returncode == 0
            package.unlink()
    found = shutil.which(name, path=_search_path())
    assert found is not None, f"{name} is in none of {packages}"
    return found


def environ() -> dict[str, str]:
    """The environment in which an unpacked program finds its libraries."""
    libraries = sorted({str(path.parent) for path in _root().glob("**/*.so.*")})
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(libraries)}


def _root() -> Path:
    return cache_directory().parent / "debian"


def _search_path() -> str:
    return os.pathsep.join(str(_root() / part) for part in ("bin", "usr/bin", "sbin", "usr/sbin"))


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
