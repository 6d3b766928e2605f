"""Jars of the peers that run on Java, downloaded once and checked.

`python -m tests.peers.jars` recreates the lock file after a change of the versions below.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from jgo.maven import MavenContext

from app.embedded.jar_lock import read_lock
from app.embedded.jars import JarCache
from app.embedded.lock import lock_line, needed_jars

__all__ = ["FLUME", "LOCK", "jars_of"]

LOCK = Path(__file__).with_name("jars.lock")
FLUME = "flume"

ROOTS = (
    (FLUME, ("org.apache.flume", "flume-ng-node", "1.11.0")),
    (FLUME, ("org.slf4j", "slf4j-simple", "1.7.32")),
)

# Flume's node depends on 130 jars (Hadoop, Derby, Tomcat, Netty, …). An agent with a spooling
# directory, a file channel and a Thrift sink loads only these.
NEEDED = {
    "avro",
    "commons-cli",
    "commons-codec",
    "commons-collections",
    "commons-io",
    "commons-lang",
    "commons-lang3",
    "commons-text",
    "flume-file-channel",
    "flume-ng-configuration",
    "flume-ng-core",
    "flume-ng-node",
    "flume-ng-sdk",
    "guava",
    "jackson-annotations",
    "jackson-core",
    "jackson-databind",
    "libthrift",
    "mapdb",
    "protobuf-java",
    "slf4j-api",
    "slf4j-simple",
    "snappy-java",
}


def jars_of(name: str) -> list[Path]:
    """Paths of a set's jars. Raises UnavailableError if one can't be downloaded."""
    return JarCache(lock=read_lock(LOCK)).paths(name)[name]


def make_lock() -> str:
    """Build the text of the lock file."""
    with TemporaryDirectory() as directory, ThreadPoolExecutor(8) as pool:
        maven = MavenContext(repo_cache=Path(directory), timeout=60)
        needed = {
            (name, jar.artifactId): (name, jar)
            for name, root in ROOTS
            for jar in needed_jars(maven, root)
            if jar.artifactId in NEEDED
        }
        return "".join(sorted(pool.map(lock_line, needed.values())))


if __name__ == "__main__":
    LOCK.write_text(make_lock(), encoding="ascii")
    sys.stdout.write(f"{LOCK}: {len(LOCK.read_text(encoding='ascii').splitlines())} jars\n")
