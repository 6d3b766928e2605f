"""Paths of jars that tests and benchmarks run: fetched once by a lock file, checked, shared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.embedded.jar_lock import read_lock
from app.embedded.jars import JarCache

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["jars_of"]


def jars_of(lock: Path, name: str) -> list[Path]:
    """Paths of the jars of set `name` in a lock file; raise UnavailableError if one is missing."""
    return JarCache(lock=read_lock(lock)).paths(name)[name]
