"""Finds a followed file after a restart, under the name that a rotation gave it meanwhile."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from app.sources.files.text_file import COMPRESSED, DAMAGED, TextFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = ["files_since"]

_NUMBER_OR_DATE = r"[.\-_][\d.\-_T]+"
"""The part that logrotate and similar tools add to a name, before or after the suffix."""


def files_since(
    path: Path, states: Sequence[Mapping[str, Any]]
) -> tuple[list[TextFile], list[Mapping[str, Any]]]:
    """Open the files of the states and the files rotated away since, the oldest first.

    Also returns the states whose files were not found. The file at `path` itself is included only
    if it is the file of a state.
    """
    rotated = _rotated(path)
    files: list[TextFile] = []
    missing: list[Mapping[str, Any]] = []
    for state in states:
        taken = {file.path for file in files}
        found = _find((p for p in [path, *rotated] if p not in taken), state)
        if found is None:
            missing.append(state)
        else:
            files.append(found)
    known = [rotated.index(file.path) for file in files if file.path in rotated]
    if known and files[-1].path != path:
        # Files that were rotated away after the last known one were written since the last run.
        files += [TextFile(newer) for newer in rotated[max(known) + 1 :]]
    return files, missing


def _rotated(path: Path) -> list[Path]:
    """The files that were at `path` before, the oldest first."""
    stem, suffix = re.escape(path.stem), re.escape(path.suffix)
    packed = "|".join(map(re.escape, COMPRESSED))
    name = re.compile(rf"{stem}({suffix}{_NUMBER_OR_DATE}|{_NUMBER_OR_DATE}{suffix})({packed})?")
    found = []
    for other in path.parent.iterdir():
        if name.fullmatch(other.name) and not _packed_twin(other):
            with suppress(OSError):
                found.append((other.stat().st_mtime_ns, other))
    return [other for _, other in sorted(found)]


def _packed_twin(path: Path) -> bool:
    """Whether the file is being compressed at the moment: the plain file still exists."""
    return path.suffix in COMPRESSED and path.with_suffix("").exists()


def _find(candidates: Iterable[Path], state: Mapping[str, Any]) -> TextFile | None:
    identity = state["device"], state["inode"]
    for path in sorted(candidates, key=lambda path: _identity(path) != identity):
        with suppress(*DAMAGED):
            file = TextFile(path, state)
            if file.resumed:
                return file
            file.close()
    return None


def _identity(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None
