"""Rewrites the lock file of Pekko's jars."""

from __future__ import annotations

from app.embedded.lock import write_lock
from tests.pekko import LOCK, ROOTS

write_lock(LOCK, ROOTS)
