"""Spark Structured Streaming's windowed word count; run by spark_system.py with one JSON argument.

Prints {"time": …, "words": …, "rows": …} after each micro-batch: its end, the words read so far,
the rows of its state.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from datetime import datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import col, explode, split, window

WORDS_PER_LINE = 10


def count_only(rows: DataFrame, _: int) -> None:
    """Compute every row and write none."""
    rows.write.format("noop").mode("overwrite").save()


def save_to(keyspace: str) -> Any:
    """Return a function that upserts a micro-batch's changed rows with the connector's defaults."""

    def save(rows: DataFrame, _: int) -> None:
        changed = rows.select("word", col("window.start").alias("window_start"), "count")
        changed.write.format("org.apache.spark.sql.cassandra").options(
            keyspace=keyspace, table="words"
        ).mode("append").save()

    return save


def main() -> None:
    """Run until SIGTERM."""
    parameters = json.loads(sys.argv[1])
    builder = SparkSession.builder.master("local[2]").appName(parameters["name"])
    for name, value in parameters["settings"].items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("WARN")
    lines = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", parameters["broker"])
        .option("subscribe", parameters["topic"])
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", parameters["lines_per_trigger"])
        .load()
    )
    words = lines.select(
        explode(split(col("value").cast("string"), r"\s+")).alias("word"), "timestamp"
    )
    counts = words.groupBy(window("timestamp", "1 minute"), "word").count()
    query = (
        counts.writeStream.outputMode("update")
        .option("checkpointLocation", parameters["checkpoint"])
        .foreachBatch(save_to(parameters["keyspace"]) if parameters["keyspace"] else count_only)
        .start()
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    report_progress(query)


def report_progress(query: Any) -> None:
    """Print a line after each micro-batch with lines in it."""
    last, words = -1, 0
    while query.isActive:
        progress = query.lastProgress
        if progress and progress["batchId"] != last and progress["numInputRows"]:
            last = progress["batchId"]
            began = datetime.fromisoformat(progress["timestamp"])
            ended = began.timestamp() + progress["durationMs"]["triggerExecution"] / 1000
            words += progress["numInputRows"] * WORDS_PER_LINE
            rows = progress["stateOperators"][0]["numRowsTotal"]
            print(json.dumps({"time": ended, "words": words, "rows": rows}), flush=True)  # noqa: T201
        time.sleep(0.05)
    query.awaitTermination()


if __name__ == "__main__":
    main()
