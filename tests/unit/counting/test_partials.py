"""Partial counts: owners unpack the counts that were packed for them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from app.counting import partials
from app.counting.partials import MESSAGE_BYTES, WindowCounts, pack, unpack
from app.counting.partitioner import partition_of_word

if TYPE_CHECKING:
    from collections.abc import Mapping

Counts = dict[tuple[int, str], int]

OVERHEAD = 4096
"""Bytes that Arrow's framing may add to the words and counts of a message with one window."""

times = st.integers(-(2**62), 2**62)
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
counts_of_windows = st.dictionaries(
    times, st.dictionaries(words, st.integers(1, 2**62), min_size=1, max_size=30), max_size=4
)


def windows(
    given: Mapping[int, Mapping[str, int]], kind: pa.DataType | None = None
) -> list[WindowCounts]:
    """Counts by window as `split` makes them."""
    return [
        WindowCounts(
            start,
            pa.array(list(counts), kind or pa.string()),
            pa.array(list(counts.values()), pa.int64()),
        )
        for start, counts in given.items()
    ]


def unpacked(messages: list[bytes]) -> Counts:
    """The sum of messages, by window and word."""
    total: Counter[tuple[int, str]] = Counter()
    for message in messages:
        for start, own_words, own_counts in unpack(message).windows:
            for word, count in zip(own_words.to_pylist(), own_counts.to_pylist(), strict=True):
                total[start, word] += count
    return dict(total)


def flat(given: Mapping[int, Mapping[str, int]]) -> Counts:
    """Counts by window and word."""
    return {(start, word): n for start, own in given.items() for word, n in own.items()}


@given(counts_of_windows, st.integers(1, 9), st.integers(0, 9999), times)
def test_every_count_arrives_once_at_the_owner_of_its_word(
    given_counts: dict[int, dict[str, int]], partitions: int, source: int, watermark: int
) -> None:
    """Packing and unpacking keeps every count, and sends each word to its partition."""
    packed = pack(windows(given_counts), partitions, source, watermark)
    assert len(packed) == partitions
    assert flat(given_counts) == unpacked([message for own in packed for message in own])
    for partition, messages in enumerate(packed):
        for _, word in unpacked(messages):
            assert partition_of_word(word, partitions) == partition
        for message in messages:
            assert unpack(message)[:2] == (source, watermark)


@settings(max_examples=50)
@given(st.lists(words.map(lambda w: w * 20), min_size=1, max_size=60, unique=True))
def test_messages_stay_below_the_limit(own_words: list[str]) -> None:
    """No message holds more than the limit unless one word alone does."""
    limit = 1000
    given_counts = {0: dict.fromkeys(own_words, 1), 60_000: dict.fromkeys(own_words, 2)}
    whole = partials.MESSAGE_BYTES
    partials.MESSAGE_BYTES = limit
    try:
        (messages,) = pack(windows(given_counts), 1, 0, 0)
    finally:
        partials.MESSAGE_BYTES = whole
    for message in messages:
        batches = unpack(message).windows
        held = sum(w.nbytes + c.nbytes for _, w, c in batches)
        assert held <= limit + 64 * len(batches) or sum(len(w) for _, w, _ in batches) == 1
    assert unpacked(messages) == flat(given_counts)


def test_many_words_fit_kafka_s_limit() -> None:
    """A vocabulary of several messages is cut so that each is below 1 MiB as it is sent."""
    given_counts = {0: {f"word-{n:032}": n + 1 for n in range(40_000)}}
    packed = pack(windows(given_counts), 2, 0, 0)
    messages = [message for own in packed for message in own]
    assert len(messages) > 2
    assert max(map(len, messages)) < MESSAGE_BYTES + OVERHEAD
    assert unpacked(messages) == flat(given_counts)


def test_few_words_of_many_windows_share_a_message() -> None:
    """Windows are packed together, so that a block of old lines makes few messages."""
    given_counts = {start: {"word": 1} for start in range(0, 600_000, 60_000)}
    (messages,) = pack(windows(given_counts), 1, 0, 0)
    assert len(messages) == 1
    assert [window.start for window in unpack(messages[0]).windows] == list(given_counts)


def test_many_windows_fit_kafka_s_limit() -> None:
    """The framing of many small windows counts against the limit of a message, too."""
    given_counts = {start: {"word": 1} for start in range(5_000)}
    (messages,) = pack(windows(given_counts), 1, 0, 0)
    assert unpacked(messages) == flat(given_counts)
    assert max(map(len, messages)) < 1 << 20


def test_one_huge_word_is_a_message_of_its_own() -> None:
    """A word that is longer than a message is not lost, and no other word shares its message."""
    huge = "x" * (3 * MESSAGE_BYTES)
    given_counts = {0: {"a": 1, huge: 2, "b": 3}}
    (messages,) = pack(windows(given_counts), 1, 0, 0)
    assert unpacked(messages) == flat(given_counts)
    (with_huge,) = [message for message in messages if len(message) > MESSAGE_BYTES]
    assert list(unpacked([with_huge])) == [(0, huge)]


def test_large_strings_and_strings_share_a_message() -> None:
    """Words that have other offsets are made alike: a message has one schema."""
    both = [*windows({0: {"a": 1}}), *windows({1: {"b": 2}}, pa.large_string())]
    (messages,) = pack(both, 1, 0, 0)
    assert len(messages) == 1
    assert unpacked(messages) == {(0, "a"): 1, (1, "b"): 2}


def test_nothing_makes_no_message() -> None:
    """Partitions that own none of the words get nothing."""
    assert pack([], 3, 0, 0) == [[], [], []]
    assert sum(map(len, pack(windows({0: {"a": 1}}), 3, 0, 0))) == 1


def test_any_watermark_comes_through() -> None:
    """Before the first line the watermark is the smallest number of 64 bits."""
    for watermark in (-(2**63), 2**63 - 1):
        ((message,),) = pack(windows({0: {"a": 1}}), 1, 7, watermark)
        assert unpack(message)[:2] == (7, watermark)
