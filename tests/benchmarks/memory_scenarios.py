"""The scenarios of the memory benchmark: the messages and settings of each."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["MESSAGE_BYTES", "SCENARIOS", "Scenario"]

MESSAGE_BYTES = 80 << 20
"""Largest message of the topic of lines and of internal topics here."""

LINES_A_MESSAGE = 500

Message = tuple[int, bytes]
"""Timestamp (ms) and text."""

START = (int(time.time()) // 60 - 1) * 60_000
"""A recent time (ms): Kafka deletes records whose time is past the topic's retention."""


@dataclass
class Scenario:
    """The load on the worker: messages, settings, and whether Cassandra takes part.

    `each` is the number of windows in which a word counts, `outage_s` the time without Cassandra.
    """

    name: str
    messages: Callable[[float], Iterator[Message]]
    settings: dict[str, str] = field(default_factory=dict)
    partitions: int = 4
    each: int = 1
    sink: bool = False
    outage_s: float = 0.0


def _texts(words: int, vocabulary: int, draw: bool) -> Iterator[tuple[str, int]]:
    """Yield messages and their numbers of words, `words` in all, random or all distinct."""
    choose = np.random.default_rng(4)
    made = 0
    while made < words:
        count = min(10 * LINES_A_MESSAGE, words - made)
        numbers = choose.integers(0, vocabulary, count) if draw else range(made, made + count)
        texts = [f"w{number:08}" for number in numbers]
        lines = [" ".join(texts[at : at + 10]) for at in range(0, count, 10)]
        yield "\n".join(lines), count
        made += count


def _distinct(size: float) -> Iterator[Message]:
    """10 million words, each once."""
    for text, _ in _texts(int(10_000_000 * size), 0, draw=False):
        yield START, text.encode()


def _line(size: float) -> Iterator[Message]:
    """Four lines of 50 MB."""
    for number in range(4):
        words = [f"w{n % 100_000:05}-{number}" for n in range(int(50e6 * size) // 9)]
        yield START, " ".join(words).encode()


def _outage(size: float) -> Iterator[Message]:
    """20 million words out of a million."""
    for text, _ in _texts(int(20_000_000 * size), 1_000_000, draw=True):
        yield START, text.encode()


def _windows(size: float) -> Iterator[Message]:
    """Two million words, each line in one of 5,000 windows."""
    choose = np.random.default_rng(5)
    for text, _ in _texts(int(2_000_000 * size), 1000, draw=True):
        for line in text.splitlines():
            yield START - int(choose.integers(0, 5000)) * 1000, line.encode()


def _partitions(size: float) -> Iterator[Message]:
    """40 million words out of a million."""
    for text, _ in _texts(int(40_000_000 * size), 1_000_000, draw=True):
        yield START, text.encode()


def _hops(size: float) -> Iterator[Message]:
    """Two million words in windows that hop."""
    choose = np.random.default_rng(6)
    for text, _ in _texts(int(2_000_000 * size), 20_000, draw=True):
        yield START - int(choose.integers(0, 600)) * 1000, text.encode()


def _long(size: float) -> Iterator[Message]:
    """400,000 words of 2,000 bytes, each once."""
    words = int(400_000 * size)
    for at in range(0, words, 50):
        yield START, b" ".join(b"%08d" % n + b"x" * 1992 for n in range(at, min(at + 50, words)))


SCENARIOS = {
    s.name: s
    for s in (
        Scenario("distinct", _distinct),
        Scenario("line", _line),
        Scenario("outage", _outage, sink=True, outage_s=600),
        Scenario("windows", _windows, {"WINDOW": "1s", "GRACE": "2h"}),
        Scenario("partitions", _partitions, partitions=16),
        Scenario("hops", _hops, {"WINDOW": "1h", "STEP": "1m", "GRACE": "1h"}, each=60),
        Scenario("long", _long, sink=True, outage_s=60),
    )
}
