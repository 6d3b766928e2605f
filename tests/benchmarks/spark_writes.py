"""Saves rows by spark-cassandra-connector; run by cassandra_writes.py with one JSON argument.

Writes the same rows repeatedly and prints {"seconds": …} after each write.
"""

from __future__ import annotations

import json
import sys
import time

from pyspark.sql import SparkSession


def main() -> None:
    """Write `times` times."""
    parameters = json.loads(sys.argv[1])
    builder = SparkSession.builder.master("local[2]").appName("cassandra-writes")
    for name, value in parameters["settings"].items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    windows, started_ms = parameters["windows"], parameters["started_ms"]
    # The rows of cassandra_writes.rows_of.
    rows = (
        spark.range(parameters["rows"])
        .selectExpr(
            f"format_string('word%07d', id div {windows}) AS word",
            f"timestamp_millis({started_ms} + 60000 * (id % {windows})) AS window_start",
            "id AS count",
        )
        .persist()
    )
    rows.count()  # compute the rows before the clock starts
    for _ in range(parameters["times"]):
        began = time.perf_counter()
        rows.write.format("org.apache.spark.sql.cassandra").options(
            keyspace=parameters["keyspace"], table="words"
        ).mode("append").save()
        print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)  # noqa: T201
    spark.stop()


if __name__ == "__main__":
    main()
