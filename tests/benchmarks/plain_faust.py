"""The word count of Faust's documentation, word by word, with progress reports.

Run it with `faust -A tests.benchmarks.plain_faust worker`; BENCH_BROKER, BENCH_ID, BENCH_TOPIC and
BENCH_PARTITIONS set its input.
"""

from __future__ import annotations

import json
import os
import sys
import time

import faust

app = faust.App(
    os.environ["BENCH_ID"],
    broker=f"kafka://{os.environ['BENCH_BROKER']}",
    store="rocksdb://",
    topic_partitions=int(os.environ["BENCH_PARTITIONS"]),
)
lines_topic = app.topic(os.environ["BENCH_TOPIC"], value_type=str, value_serializer="raw")
words_topic = app.topic(f"{app.conf.id}-words", key_type=str, value_type=str)
word_counts = app.Table("word_counts", default=int, help="Count of each word.")
counted = 0


@app.agent(lines_topic)
async def split_lines(lines: faust.StreamT[bytes]) -> None:
    """Send each word of each line to the worker that owns it."""
    async for line in lines:
        for word in line.split():
            await count_words.send(key=word, value=word)


@app.agent(words_topic)
async def count_words(words: faust.StreamT[str]) -> None:
    """Add one for each word."""
    global counted  # noqa: PLW0603 - read by the timer below
    async for word in words:
        word_counts[word] += 1
        counted += 1


@app.timer(interval=0.2)  # type: ignore[untyped-decorator]  # Faust's own has no types
async def report_progress() -> None:
    """Print one line of JSON."""
    # Not sys.stdout: a worker redirects that to its log.
    assert sys.__stdout__ is not None
    sys.__stdout__.write(json.dumps({"time": time.time(), "words": counted}) + "\n")
    sys.__stdout__.flush()
