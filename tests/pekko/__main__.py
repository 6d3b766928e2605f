"""Recreates the lock file of Pekko's jars."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from jgo.maven import MavenContext

from app.embedded.lock import lock_line, needed_jars
from tests.pekko import LOCK, ROOTS

with TemporaryDirectory() as directory, ThreadPoolExecutor(8) as pool:
    maven = MavenContext(repo_cache=Path(directory), timeout=60)
    jars = [(name, jar) for name, root in ROOTS for jar in needed_jars(maven, root)]
    LOCK.write_text("".join(sorted(pool.map(lock_line, jars))), encoding="ascii")
sys.stdout.write(LOCK.read_text(encoding="ascii"))
