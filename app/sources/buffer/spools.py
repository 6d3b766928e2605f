"""Spools of many producers below one directory: one for each purpose, and those left over."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from app.sources.buffer.spool import PURPOSE, Spool, undelivered

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["left_by_others", "spool_for"]


def spool_for(purpose: str, above: Path, limit: int) -> Spool:
    """The spool of a purpose, whose first word is the name of the source."""
    kind, *_ = purpose.split()
    digest = hashlib.sha256(purpose.encode()).hexdigest()[:12]
    return Spool(above / f"{kind}-{digest}", limit, purpose)


def left_by_others(spool: Spool) -> list[str]:
    """Describe the lines in other spools of the same source that no running process delivers."""
    kind, _, _ = spool.directory.name.rpartition("-")
    found = []
    for other in sorted(spool.directory.parent.glob(f"{kind}-*")):
        if other == spool.directory:
            continue
        with suppress(OSError):  # no spool, another user's, or one that was just adopted
            if size := undelivered(other):
                purpose = (other / PURPOSE).read_text()
                found.append(f"{size:,} bytes of `{purpose}` in {other}")
    return found
