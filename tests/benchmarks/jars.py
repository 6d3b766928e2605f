"""Fetches the jars of the compared systems once and checks them.

`python -m tests.benchmarks.jars` writes the lock file again after a change of the versions below.
"""

from __future__ import annotations

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from jgo.maven import MavenContext

from app.embedded.jar_lock import read_lock
from app.embedded.jars import JarCache
from app.embedded.lock import lock_line, needed_jars

__all__ = ["LOCK", "SPARK", "STREAMS", "jars_of"]

LOCK = Path(__file__).with_name("jars.lock")
SPARK = "spark"
STREAMS = "kafka-streams"

# Spark's connectors for the pyspark release that the extra `bench` pins.
ROOTS = (
    (SPARK, ("org.apache.spark", "spark-sql-kafka-0-10_2.12", "3.5.7")),
    (SPARK, ("com.datastax.spark", "spark-cassandra-connector_2.12", "3.5.1")),
    (STREAMS, ("org.apache.kafka", "kafka-streams", "4.1.1")),
    (STREAMS, ("org.slf4j", "slf4j-simple", "1.7.36")),
)


def jars_of(name: str) -> list[Path]:
    """Return the paths of a set's jars; raise UnavailableError if one can't be fetched."""
    return JarCache(lock=read_lock(LOCK)).paths(name)[name]


def make_lock() -> str:
    """Return the text of the lock file; Spark's set omits jars that pyspark ships."""
    import pyspark

    jars = Path(pyspark.__file__).with_name("jars").glob("*.jar")
    shipped = {re.sub(r"-\d.*", "", jar.name) for jar in jars}
    with TemporaryDirectory() as directory, ThreadPoolExecutor(8) as pool:
        maven = MavenContext(repo_cache=Path(directory), timeout=60)
        needed = {
            (name, jar.artifactId): (name, jar)
            for name, root in ROOTS
            for jar in needed_jars(maven, root)
        }
        wanted = [
            item
            for (name, artifact), item in needed.items()
            if name != SPARK or artifact not in shipped
        ]
        return "".join(sorted(pool.map(lock_line, wanted)))


if __name__ == "__main__":
    LOCK.write_text(make_lock(), encoding="ascii")
    sys.stdout.write(f"{LOCK}: {len(LOCK.read_text(encoding='ascii').splitlines())} jars\n")
