"""Rewrites jars.lock: run `python -m app.embedded.lock` after a change of the versions below."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from jgo.maven import Dependency as Coordinates
from jgo.maven import MavenContext

from app.embedded.jar_lock import CASSANDRA, KAFKA, LOCK
from app.embedded.jars import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Root", "write_lock"]

Root = tuple[str, tuple[str, str, str]]
"""The name of a set, and the group, artifact and version of a jar whose dependencies it needs."""

ROOTS: Sequence[Root] = (
    (CASSANDRA, ("org.apache.cassandra", "cassandra-all", "5.0.9")),
    (KAFKA, ("org.apache.kafka", "kafka_2.13", "4.4.0")),
)


def write_lock(
    path: Path, roots: Sequence[Root], wanted: Callable[[str, str], bool] = lambda *_: True
) -> None:
    """Fetch and sum all jars that the roots need, and write them to the lock file `path`.

    `wanted` decides by the names of the set and of the artifact whether the lock file gets a jar.
    """
    with TemporaryDirectory() as directory, ThreadPoolExecutor(8) as pool:
        maven = MavenContext(repo_cache=Path(directory), timeout=60)
        # Several roots of a set may need the same jar: the version of the last root counts.
        needed = {
            (name, jar.groupId, jar.artifactId, jar.classifier): (name, jar)
            for name, root in roots
            for jar in _needed(maven, root)
            if wanted(name, jar.artifactId)
        }
        lines = sorted(pool.map(_line, needed.values()))
    path.write_text("".join(lines), encoding="ascii")
    sys.stdout.write(f"{path}: {len(lines)} jars\n")


def _needed(maven: MavenContext, root: tuple[str, str, str]) -> list[Coordinates]:
    group, artifact, version = root
    inputs, transitive = maven.resolver.resolve(
        [maven.create_dependency(f"{group}:{artifact}:{version}")]
    )
    return [d for d in [*inputs, *transitive] if d.scope in ("compile", "runtime", None)]


def _line(needed: tuple[str, Coordinates]) -> str:
    name, jar = needed
    columns = (name, jar.groupId, jar.artifactId, jar.version, jar.classifier or "")
    return " ".join((*columns, sha256_of(Path(jar.artifact.resolve())) or "")) + "\n"


if __name__ == "__main__":
    write_lock(LOCK, ROOTS)
