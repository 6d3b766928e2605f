"""Measures how fast lines become counts, partitions and keys: `python tests/benchmarks/text.py`.

The text has 200,000 lines of 10 words, from the Python documentation and invented numbers. For each
step the program prints the best of five runs in ms, and words/s where the step reads all words.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from pydoc_data import topics
from typing import TYPE_CHECKING, Any

import numpy as np

from app.counting.partitioner import partition_of
from app.counting.text import count_words, invalid_utf8, merge_counts
from app.counting.windows import NO_WATERMARK, Windows

if TYPE_CHECKING:
    from collections.abc import Callable

LINES = 200_000
WORDS = 10 * LINES
NOW = 1_700_000_000_000


def lines() -> list[bytes]:
    """Return lines with word frequencies as in the documentation; one word in ten is rare."""
    rng = random.Random(1)
    words = " ".join(topics.topics.values()).split()
    return [
        f"{' '.join(rng.choices(words, k=9))} w{rng.randrange(33_000)}".encode()
        for _ in range(LINES)
    ]


def best(name: str, step: Callable[[], Any], words: int = 0) -> Any:
    """Run a step five times and print the shortest time."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        result = step()
        times.append(time.perf_counter() - start)
    rate = f"{words / min(times) / 1e6:8.1f} M words/s" if words else ""
    print(f"{name:44}{min(times) * 1e3:9.2f} ms{rate}")  # noqa: T201
    return result


def main() -> None:
    """Measure every step."""
    values = lines()
    best("for comparison: Counter(text.split())", lambda: counter(values), WORDS)
    words, counts = best(
        "count_words, whitespace", lambda: count_words(values, "whitespace"), WORDS
    )
    spaced = [value.replace(b" ", "\u3000".encode()) for value in values]
    best("count_words, U+3000 between words", lambda: count_words(spaced, "whitespace"), WORDS)
    best("count_words, unicode", lambda: count_words(values, "unicode"), WORDS)
    quoted = [value.replace(b" ", "” “".encode()) for value in values]
    best("count_words, unicode, words quoted", lambda: count_words(quoted, "unicode"), WORDS)
    best("count_words, one line", lambda: count_words(values[:1], "whitespace"))
    best("invalid_utf8, all fine", lambda: invalid_utf8(values))
    best("invalid_utf8, one bad line", lambda: invalid_utf8([*values[1:], b"\xff"]))

    print(f"\nof {len(words):,} distinct words:")  # noqa: T201
    best("merge_counts, four parts of as many", lambda: merge_counts([(words, counts)] * 4))
    best("partition_of", lambda: partition_of(words, 4))
    best("keys", lambda: Windows.keys(NOW, words))

    print(f"\nof {LINES:,} timestamps:")  # noqa: T201
    tumbling, hopping = Windows(60_000, None, 60_000, 0), Windows(60_000, 10_000, 60_000, 0)
    same, spread = np.full(LINES, NOW), NOW + np.arange(LINES) // 2
    best("assign, one window", lambda: tumbling.assign(same, NO_WATERMARK, NOW))
    best("assign, three windows", lambda: tumbling.assign(spread, NO_WATERMARK, NOW))
    best("assign, hopping", lambda: hopping.assign(spread, NO_WATERMARK, NOW))


def counter(values: list[bytes]) -> Counter[str]:
    """Count in plain Python."""
    return Counter(b"\n".join(values).decode().split())


if __name__ == "__main__":
    main()
