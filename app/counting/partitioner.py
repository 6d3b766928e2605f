"""The partition that owns a word: one stable function for producing, routing and looking up.

The hash is Σ (byteᵢ + 1)·Mⁱ mod 2⁶⁴ over the word's UTF-8 bytes, mixed by the finaliser of
splitmix64; the upper 32 bits, scaled to the number of partitions, name the partition. A test pins
the results: a changed function would look for words in partitions that do not own them.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["CHUNK_BYTES", "partition_of", "partition_of_word"]

_MASK = (1 << 64) - 1
_MULTIPLIER = 0x9E3779B97F4A7C15  # odd, so that it has an inverse mod 2⁶⁴
_INVERSE = pow(_MULTIPLIER, -1, 1 << 64)

CHUNK_BYTES = 1 << 15
"""Bytes hashed at once, so that tables and sums stay in the CPU's cache."""

Hashes = NDArray[np.uint64]


def partition_of(words: Any, partitions: int) -> NDArray[np.uint16]:
    """Partition (0 … partitions - 1) of each word of a pyarrow string or binary array.

    Large types and slices are fine; the array must hold no nulls. `partitions` is at most 65,536.
    """
    hashes = _mixed(_polynomials(*_offsets_and_data(words)))
    # The upper 32 bits are a fraction of 2³²; the same fraction of `partitions` is the partition.
    # The product has 48 bits at most.
    return (((hashes >> np.uint64(32)) * np.uint64(partitions)) >> np.uint64(32)).astype(np.uint16)


def partition_of_word(word: str, partitions: int) -> int:
    """Partition of one word.

    Raises UnicodeEncodeError for a lone surrogate, which is in no UTF-8 text.
    """
    return int(partition_of(pa.array([word.encode()], pa.large_binary()), partitions)[0])


def _offsets_and_data(words: Any) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """The bytes of all words, and the offset at which each starts; the last offset is the end."""
    _, offsets, data = words.buffers()
    large = words.type in (pa.large_string(), pa.large_binary())
    if offsets is None or not len(words):
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    # A slice shares the buffers of its whole array, so both are cut to the slice.
    starts = np.frombuffer(offsets, np.int64 if large else np.int32)
    starts = starts[words.offset : words.offset + len(words) + 1].astype(np.int64)
    held = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return starts - starts[0], held[starts[0] : starts[-1]]


def _polynomials(offsets: NDArray[np.int64], data: NDArray[np.uint8]) -> Hashes:
    """Σ (byteᵢ + 1)·Mⁱ of each word, i from 0 in each.

    Running sums over all the bytes, taken where words start and end, give Σ (byteⱼ + 1)·Mʲ with j
    from the first word's start; times the inverse of Mˢ that is the sum from a word's own start s.
    Sums wrap around mod 2⁶⁴, so differences are right, and no word needs a step of its own.
    """
    # A chunk knows powers only from its own start. `scale` = Mˢ of the chunk's start lifts its sums
    # to those over all bytes, `unscale` is the inverse, and `so_far` the sum of earlier chunks.
    powers, inverses = _tables()
    sums = np.empty(len(offsets), np.uint64)
    shifts = np.empty(len(offsets), np.uint64)
    running = np.zeros(CHUNK_BYTES + 1, np.uint64)
    so_far, scale, unscale, done = 0, 1, 1, 0
    # Up to len(data) inclusive: the last bound is behind the last byte, perhaps alone in a chunk.
    for start in range(0, len(data) + 1, CHUNK_BYTES):
        chunk = data[start : start + CHUNK_BYTES]
        here = running[: len(chunk) + 1]
        terms = (chunk.astype(np.uint64) + np.uint64(1)) * powers[: len(chunk)]
        np.cumsum(terms, out=here[1:])
        upto = int(np.searchsorted(offsets, start + CHUNK_BYTES))
        places = offsets[done:upto] - start
        sums[done:upto] = here[places] * _u64(scale) + _u64(so_far)
        shifts[done:upto] = inverses[places] * _u64(unscale)
        so_far = (so_far + int(here[-1]) * scale) & _MASK
        scale = scale * _CHUNK_POWER & _MASK
        unscale = unscale * _CHUNK_INVERSE & _MASK
        done = upto
    return (sums[1:] - sums[:-1]) * shifts[:-1]


_CHUNK_POWER = pow(_MULTIPLIER, CHUNK_BYTES, 1 << 64)
_CHUNK_INVERSE = pow(_INVERSE, CHUNK_BYTES, 1 << 64)


@functools.cache
def _tables() -> tuple[Hashes, Hashes]:
    """Powers of the multiplier and of its inverse, for the places in a chunk."""
    return _powers(_MULTIPLIER), _powers(_INVERSE)


def _powers(base: int) -> Hashes:
    factors = np.full(CHUNK_BYTES, base, np.uint64)
    factors[0] = 1
    return np.cumprod(factors, dtype=np.uint64)


def _mixed(hashes: Hashes) -> Hashes:
    # Without this step all words of one byte would be in partition 0: the polynomial of such a word
    # is a number up to 256, and the upper bits decide.
    hashes = (hashes ^ (hashes >> np.uint64(30))) * _u64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * _u64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))


def _u64(number: int) -> Hashes:
    """A number as an array: products of arrays wrap around in silence, those of scalars warn."""
    return np.array([number], np.uint64)
