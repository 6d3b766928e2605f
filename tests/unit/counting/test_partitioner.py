"""The partition that owns a word."""

from __future__ import annotations

import itertools
from pydoc_data import topics
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.counting import partitioner
from app.counting.partitioner import partition_of, partition_of_word

MASK = (1 << 64) - 1
KINDS = [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()]


def plain_partition(word: bytes, partitions: int) -> int:
    """The same, byte by byte."""
    value = 0
    for byte in reversed(word):
        value = (value * 0x9E3779B97F4A7C15 + byte + 1) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    value ^= value >> 31
    return ((value >> 32) * partitions) >> 32


@given(
    st.lists(st.text(max_size=12), max_size=30),
    st.sampled_from([1, 2, 4, 7, 10_000]),
    st.sampled_from(KINDS),
    st.integers(0, 5),
    st.integers(0, 30),
)
def test_a_slice_of_any_kind_gives_what_each_word_gives(
    words: list[str], partitions: int, kind: Any, start: int, length: int
) -> None:
    """All words at once, in any Arrow type, sliced or not: as each word byte by byte."""
    array = pa.array([word.encode() for word in words], pa.large_binary())
    sliced = array.cast(kind).slice(start, length)
    expected = [plain_partition(w.encode(), partitions) for w in words[start : start + length]]
    assert partition_of(sliced, partitions).tolist() == expected


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(0, 3))
def test_words_may_span_the_chunks_of_bytes(words: list[bytes], shift: int) -> None:
    """Words that cross, end at or fill the edges of a chunk hash as they do elsewhere."""
    filler = b"x" * (partitioner.CHUNK_BYTES - 10 - shift)
    around = pa.array([filler, *words, b"", filler + filler, *words, b""], pa.binary())
    found = partition_of(around, 16).tolist()
    expected = [plain_partition(word, 16) for word in words]
    assert found[1 : len(words) + 1] == expected
    assert found[-len(words) - 1 : -1] == expected


def test_one_word_alone_goes_where_it_goes_among_others() -> None:
    """Looking up a word asks the partition that counted it."""
    words = ["", "a", "é", "漢字", "\0", "\0\0", "x" * 100_000]
    found = partition_of(pa.array(words), 7).tolist()
    assert found == [plain_partition(word.encode(), 7) for word in words]
    assert [partition_of_word(word, 7) for word in words] == found


def test_partitions_are_what_they_were() -> None:
    """The function is fixed for good: counted words must be found again."""
    words = ["", "a", "the", "The", "naïve", "漢字", "🛑", "\0", "word" * 100]
    assert [partition_of_word(word, 4) for word in words] == [0, 3, 3, 1, 3, 0, 3, 1, 0]
    assert [partition_of_word(word, 10_000) for word in words] == [
        0,
        9491,
        9409,
        4617,
        8016,
        2129,
        9519,
        3381,
        271,
    ]


@pytest.mark.parametrize("partitions", [2, 4, 7, 16])
@pytest.mark.parametrize(
    "words",
    [
        sorted({word for text in topics.topics.values() for word in text.split()}),
        [str(number) for number in range(50_000)],
        [f"user-{number:08}" for number in range(50_000)],
        ["".join(letters) for letters in itertools.product("abcdefghij", repeat=4)],
        ["a" * length for length in range(2_000)],
    ],
    ids=["documentation", "numbers", "names", "letters", "lengths"],
)
def test_words_spread_evenly(words: list[str], partitions: int) -> None:
    """Partitions get equal shares, as far as chance would have it (chi-square, p > 10⁻⁶)."""
    shares = np.bincount(partition_of(pa.array(words), partitions), minlength=partitions)
    mean = len(words) / partitions
    chi_square = float(((shares - mean) ** 2 / mean).sum())
    freedom = partitions - 1
    # Wilson and Hilferty's approximation of the distribution's upper tail
    deviation = ((chi_square / freedom) ** (1 / 3) - 1 + 2 / (9 * freedom)) / (
        2 / (9 * freedom)
    ) ** 0.5
    assert deviation < 4.75, shares


def test_a_lone_surrogate_is_no_word() -> None:
    """Text that can't be UTF-8 has no partition."""
    with pytest.raises(UnicodeEncodeError):
        partition_of_word("\ud800", 4)
