"""The lines of a scenario, drawn from a seed, and an independent count of the expected result.

The rules of lateness are written out here once more, from the contract and not from the
application: a message is late in a window that ended so long ago that the newest message before it
in its partition is past the end and the grace.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Expected", "Message", "Shape", "messages"]

_SYLLABLES = [
    *"éößñ語字한🙂ﬁİתש'-_x",
    "ka",
    "ro",
    "mi",
    "λό",
    "жи",
    "لت",
    "नि",
    "ไท",
    "3.1",
    "👩\u200d👧",
]
# All of them are whitespace to str.split().
_SPACES = [" "] * 30 + ["  ", "\t", "\n", "\n\n", "\r\n", "\x0b", "\x1c", "\x85", "\xa0", "\u2003"]
_BAD = [b"\xff\xfe words", b"half \xe2\x82", b"\xc0\xaf", b"lone \xed\xa0\x80 surrogate"]


class Message(NamedTuple):
    """One message of `lines`; its timestamp is in ms."""

    partition: int
    timestamp: int
    value: bytes


@dataclass(frozen=True)
class Shape:
    """How much text there is, and how it lies in time (ms)."""

    lines: int = 100_000
    lines_a_message: int = 20
    words: int = 900
    window: int = 10_000
    grace: int = 10_000
    windows: int = 6
    partitions: int = 4


@dataclass
class Expected:
    """Counts of every window and word, built message by message."""

    shape: Shape
    counts: Counter[tuple[int, str]] = field(default_factory=Counter)
    lines: int = 0
    late: int = 0
    rejected: int = 0
    _newest: dict[int, int] = field(default_factory=dict)

    def add(self, message: Message) -> None:
        """Count a message that Kafka has acknowledged; those of a partition come in order."""
        try:
            text = message.value.decode()
        except UnicodeDecodeError:
            self.rejected += 1
            return
        newest = self._newest.get(message.partition, message.timestamp)
        self._newest[message.partition] = max(newest, message.timestamp)
        start = message.timestamp // self.shape.window * self.shape.window
        if newest >= start + self.shape.window + self.shape.grace:
            self.late += 1
            return
        self.lines += max(1, text.count("\n"))
        for word in text.split():
            self.counts[start, word] += 1


def messages(seed: int, shape: Shape, start: int) -> Iterator[Message]:
    """The messages of a seed, in order, with timestamps from `start` (ms) on.

    Most are a little out of order, some as far as the grace, some later than that, and a few are
    not UTF-8.
    """
    rng = random.Random(seed)
    vocabulary = ["".join(rng.choices(_SYLLABLES, k=rng.randint(1, 5))) for _ in range(shape.words)]
    weights = [1 / (rank + 3) for rank in range(shape.words)]
    # Lines are drawn from a stock: to draw every word would cost more than to count it.
    stock = [_line(rng, vocabulary, weights) for _ in range(5_000)]
    made = 0
    while made < shape.lines:
        share = made / shape.lines
        count = rng.randint(1, 2 * shape.lines_a_message - 1)
        made += count
        back = rng.choice((0, 200, 200, shape.grace))
        if rng.random() < 0.04:
            back = shape.grace + 2 * shape.window
        timestamp = start + int(share * shape.windows * shape.window) - rng.randint(back // 2, back)
        if rng.random() < 0.002:
            value = rng.choice(_BAD)
        else:
            value = ("\n".join(rng.choices(stock, k=count)) + "\n").encode()
        yield Message(rng.randrange(shape.partitions), timestamp, value)


def _line(rng: random.Random, vocabulary: list[str], weights: list[float]) -> str:
    words = rng.choices(vocabulary, weights, k=rng.randint(1, 12))
    return "".join(word + rng.choice(_SPACES) for word in words).replace("\n", " ")
