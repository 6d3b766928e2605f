"""Rewrites jars.lock: run `python -m app.embedded.lock` after a change of the versions below."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from jgo.maven import Dependency as Coordinates
from jgo.maven import MavenContext

from app.embedded.jar_lock import CASSANDRA, KAFKA, LOCK
from app.embedded.jars import sha256_of

__all__ = ["lock_line", "make_lock", "needed_jars"]

ROOTS = {
    CASSANDRA: ("org.apache.cassandra", "cassandra-all", "5.0.9"),
    KAFKA: ("org.apache.kafka", "kafka_2.13", "4.4.0"),
}


def make_lock() -> str:
    """The text of the lock file: all jars that the roots need, fetched and summed."""
    with TemporaryDirectory() as directory, ThreadPoolExecutor(8) as pool:
        maven = MavenContext(repo_cache=Path(directory), timeout=60)
        needed = [(name, jar) for name, root in ROOTS.items() for jar in needed_jars(maven, root)]
        return "".join(sorted(pool.map(lock_line, needed)))


def needed_jars(maven: MavenContext, root: tuple[str, str, str]) -> list[Coordinates]:
    """The jar of a root (group, artifact, version), and those that it needs at run time."""
    group, artifact, version = root
    inputs, transitive = maven.resolver.resolve(
        [maven.create_dependency(f"{group}:{artifact}:{version}")]
    )
    return [d for d in [*inputs, *transitive] if d.scope in ("compile", "runtime", None)]


def lock_line(needed: tuple[str, Coordinates]) -> str:
    """The line of a lock file for a jar of a set; fetches the jar for its SHA-256."""
    name, jar = needed
    columns = (name, jar.groupId, jar.artifactId, jar.version, jar.classifier or "")
    return " ".join((*columns, sha256_of(Path(jar.artifact.resolve())) or "")) + "\n"


if __name__ == "__main__":
    LOCK.write_text(make_lock(), encoding="ascii")
    sys.stdout.write(f"{LOCK}: {len(LOCK.read_text(encoding='ascii').splitlines())} jars\n")
