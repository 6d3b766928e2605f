"""Reads the counts that a system has saved in Cassandra."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.benchmarks.lines import Counts
    from tests.benchmarks.measure import Job

__all__ = ["make_table", "saved_counts"]


def saved_counts(job: Job) -> Counts:
    """All rows of the job's table."""
    from cassandra.cluster import Cluster

    with Cluster([job.cassandra.host], port=job.cassandra.port) as cluster:
        session = cluster.connect()
        rows = session.execute(
            f"SELECT word, toUnixTimestamp(window_start), count FROM {job.keyspace}.words",
            timeout=60,
        )
        return {(start, word): count for word, start, count in rows}


def make_table(job: Job) -> None:
    """Create the application's default table, for systems that do not create it."""
    from cassandra.cluster import Cluster

    with Cluster([job.cassandra.host], port=job.cassandra.port) as cluster:
        session = cluster.connect()
        session.execute(
            f"CREATE KEYSPACE {job.keyspace} WITH replication = "
            "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        )
        session.execute(
            f"CREATE TABLE {job.keyspace}.words (word text, window_start timestamp, count bigint, "
            "PRIMARY KEY (word, window_start)) WITH CLUSTERING ORDER BY (window_start DESC)"
        )
