"""Spools of many producers below one directory: which is whose, and what nobody delivers."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from app.sources.buffer.spool import PURPOSE, Spool, undelivered

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["left_by_others", "spool_for"]


def spool_for(purpose: str, above: Path, limit: int) -> Spool:
    """The spool of those who have this purpose; its first word is the source's kind."""
    kind, *_ = purpose.split()
    digest = hashlib.sha256(purpose.encode()).hexdigest()[:12]
    return Spool(above / f"{kind}-{digest}", limit, purpose)


def left_by_others(spool: Spool) -> list[str]:
    """What is in spools of the same kind beside this one, and no process is there to deliver."""
    kind, _, _ = spool.directory.name.rpartition("-")
    found = []
    for other in sorted(spool.directory.parent.glob(f"{kind}-*")):
        if other == spool.directory:
            continue
        with suppress(OSError):  # none of ours, another user's, or just taken over
            if size := undelivered(other):
                purpose = (other / PURPOSE).read_text()
                found.append(f"{size:,} bytes of `{purpose}` in {other}")
    return found
