"""Finds a followed file again after a restart, wherever a rotation has put it meanwhile."""

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
"""What logrotate and its like put behind a name; its suffix may stand before it or behind."""


def files_since(
    path: Path, states: Sequence[Mapping[str, Any]]
) -> tuple[list[TextFile], list[Mapping[str, Any]]]:
    """Open the files that the states are about, and those rotated away since, oldest first.

    Also returns the states whose files can't be found any more. The file at `path` itself is there
    only if a state is about it.
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
        # Whatever was rotated away after the last file that was known came to be meanwhile.
        files += [TextFile(newer) for newer in rotated[max(known) + 1 :]]
    return files, missing


def _rotated(path: Path) -> list[Path]:
    """The files that were once at `path`, oldest first."""
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
    """Whether it is being compressed: the plain file is still there."""
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
