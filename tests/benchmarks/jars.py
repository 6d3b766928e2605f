"""Names the jars of the compared systems, and their lock file.

`python -m tests.benchmarks.jars` rewrites the lock file after a change of the versions below.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["LOCK", "SPARK", "STREAMS"]

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


def _shipped() -> set[str]:
    """Artifacts of the jars that pyspark ships."""
    import pyspark

    jars = Path(pyspark.__file__).with_name("jars").glob("*.jar")
    return {re.sub(r"-\d.*", "", jar.name) for jar in jars}


if __name__ == "__main__":
    from app.embedded.lock import write_lock

    shipped = _shipped()
    write_lock(LOCK, ROOTS, lambda name, artifact: name != SPARK or artifact not in shipped)
