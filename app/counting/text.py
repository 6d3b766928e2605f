"""Text to words to counts, a whole block at a time.

The costly work (splitting, hashing, checking UTF-8) runs in pyarrow, which releases the GIL.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.counting.segments import segment_counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

__all__ = [
    "CHUNK_BYTES",
    "Mode",
    "as_counted",
    "count_words",
    "invalid_utf8",
    "merge_counts",
    "split_lines",
]

Mode = Literal["whitespace", "unicode"]

CHUNK_BYTES = 4 << 20
"""Bytes of text that are split at once: enough to be fast, little enough to bound memory."""

_INT32_MAX = (1 << 31) - 1

# Each alternative begins with an ASCII or a lead byte, so none can match inside a character.
_ANY_SPACE = re.compile(
    rb"[\t-\r\x1c-\x20]|\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]"
    rb"|\xe2\x81\x9f|\xe3\x80\x80"
)
_ASCII_SPACE = re.compile(rb"[\t-\r ]")

# First two bytes of U+0085, 00A0, 1680, 205F, 3000, and of others that are no whitespace.
_SPACE_PAIRS = np.array([0xC285, 0xC2A0, 0xE19A, 0xE281, 0xE380], np.uint16)


def count_words(values: Sequence[bytes | None], mode: Mode) -> tuple[Any, Any]:
    """Count the words of messages: distinct words and how often each occurs.

    `values` are UTF-8 texts of one or several lines. No word crosses from one to the next, and
    None (a message without a value) has no words. Returns two pyarrow arrays of one length, in no
    order: words (string; large_string where they hold more than 2 GiB) and counts (int64).

    `whitespace` counts as `Counter(w for v in values for w in v.decode().split())` does;
    `unicode` counts the words that `segments` describes. Beside one copy of the input, memory is
    bounded by CHUNK_BYTES, by the longest word, and by the distinct words of each chunk.

    Raises pyarrow.ArrowInvalid where a value is not UTF-8: first drop those that `invalid_utf8`
    finds.
    """
    text = _join(values)
    split = _split_whitespace if mode == "whitespace" else _split_ascii_whitespace
    parts = []
    for chunk in _chunks(text, _ANY_SPACE if mode == "whitespace" else _ASCII_SPACE):
        counted = pc.value_counts(split(chunk))
        parts.append((counted.field("values"), counted.field("counts")))
    words, counts = merge_counts(parts)
    return (words, counts) if mode == "whitespace" else merge_counts(segment_counts(words, counts))


def as_counted(word: str, mode: Mode) -> str:
    """The form in which `count_words` counts a word: as it is, or case-folded."""
    return word if mode == "whitespace" else word.casefold()


def split_lines(values: Sequence[bytes]) -> tuple[Any, NDArray[np.int64]]:
    """Split messages on whitespace; returns all words, and the end of each message's words."""
    # Not pa.array(values): behind whitespace at a text's end pyarrow's splitter decodes one more
    # character, and finds no whitespace where that fails. Here that character is the first of the
    # next text, or the NUL at the end of every bytes object. Behind an Arrow buffer it may be
    # anything.
    text = b"".join(values)
    large = len(text) > _INT32_MAX
    ends = np.cumsum([0, *map(len, values)], dtype=np.int64 if large else np.int32)
    lists = pc.utf8_split_whitespace(_texts_array(ends, text))
    # The splitter yields empty words at the ends of texts. Dropping them moves all later words
    # forward, so each list's end becomes the number of words kept before it.
    words = lists.values
    kept = pc.binary_length(words).to_numpy(zero_copy_only=False) > 0
    before = np.concatenate(([0], np.cumsum(kept)))
    return words.filter(pa.array(kept)), before[lists.offsets.to_numpy()[1:]]


def merge_counts(parts: Iterable[tuple[Any, Any]]) -> tuple[Any, Any]:
    """Add up counts: (words, counts) of several parts become one part with each word once.

    Words are pyarrow string arrays (large_string too), counts int64. Returns arrays like those of
    `count_words`.
    """
    parts = list(parts)
    if len(parts) == 1:
        return parts[0]
    kind = pa.string()
    if sum(words.nbytes for words, _ in parts) > _INT32_MAX or any(
        words.type != kind for words, _ in parts
    ):
        kind = pa.large_string()
        parts = [(words.cast(kind), counts) for words, counts in parts]
    # Dictionary encoding numbers the distinct words of all parts. Equal words get equal
    # numbers, so sums by number are sums by word, without a Python object for any word.
    encoded = pa.chunked_array([words for words, _ in parts], kind).combine_chunks()
    encoded = encoded.dictionary_encode()
    totals = np.zeros(len(encoded.dictionary), np.int64)
    counts = pa.chunked_array([counts for _, counts in parts], pa.int64()).to_numpy()
    np.add.at(totals, encoded.indices.to_numpy(), counts)
    return encoded.dictionary, pa.array(totals)


def invalid_utf8(values: Sequence[bytes | None]) -> dict[int, str]:
    """Find the values that are not UTF-8: index → reason, in order; empty where all are.

    A reason reads `byte 0xff at 17: invalid start byte`; 17 counts bytes from 0. None is valid.
    Costs one check of the joined block; only where that fails each value is checked. A newline is
    neither a lead nor a continuation byte, so the joined block is UTF-8 just where each value is.
    """
    text = _join(values)
    try:
        _text_array(text)
    except pa.ArrowInvalid:
        return dict(_reasons(values))
    return {}


def _join(values: Sequence[bytes | None]) -> bytes:
    try:
        return b"\n".join(values)  # type: ignore[arg-type]  # None is rare: the next line
    except TypeError:
        return b"\n".join(value for value in values if value is not None)


def _reasons(values: Sequence[bytes | None]) -> Iterator[tuple[int, str]]:
    for index, value in enumerate(values):
        try:
            str(value or b"", "utf-8")
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            yield index, f"byte 0x{byte:02x} at {error.start}: {error.reason}"


def _chunks(text: bytes, space: re.Pattern[bytes]) -> Iterator[Any]:
    """Cut `text` before whitespace into chunks of CHUNK_BYTES, longer only where a word is."""
    view, start = memoryview(text), 0
    while start < len(text):
        end = start + CHUNK_BYTES
        cut = None
        # Search chunk by chunk: one search of 50 MB would hold the GIL until it ends.
        while end < len(text) and cut is None:
            cut = space.search(text, end, end + CHUNK_BYTES + 2)
            end = cut.start() if cut else end + CHUNK_BYTES
        end = min(end, len(text))
        yield _text_array(view[start:end])
        start = end


def _text_array(text: Any) -> Any:
    """One text as an array of one string, without a copy; raises ArrowInvalid if not UTF-8."""
    large = len(text) > _INT32_MAX
    return _texts_array(np.array([0, len(text)], np.int64 if large else np.int32), text)


def _texts_array(ends: NDArray[Any], text: Any) -> Any:
    """The texts between `ends` (int32 or int64) as strings, without a copy; raises as above."""
    large = ends.dtype == np.int64
    kind, binary = (pa.large_string(), pa.large_binary()) if large else (pa.string(), pa.binary())
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(text)]
    return pa.Array.from_buffers(binary, len(ends) - 1, buffers).cast(kind)


def _split_whitespace(text: Any) -> Any:
    # The splitter for ASCII is faster by a third, and splits alike where no other whitespace is.
    if _has_only_ascii_space(np.frombuffer(text.buffers()[2], np.uint8)):
        return _split_ascii_whitespace(text)
    return _without_empty_ends(pc.utf8_split_whitespace(text).values)


def _has_only_ascii_space(text: NDArray[np.uint8]) -> bool:
    """Whether this UTF-8 holds no whitespace but ASCII; False where the check would be costly."""
    # 0x1C to 0x1F are whitespace to str.split, not to the ASCII splitter of pyarrow. All other
    # whitespace beyond its own begins with a byte past ASCII, so only such bytes are compared, with
    # the two that follow each. Text with many of them is left to the splitter for UTF-8.
    if ((text - np.uint8(0x1C)) < 4).any():
        return False
    high = np.flatnonzero(text > 0x7F)
    if 8 * len(high) > len(text):
        return False
    first, second, third = (text.take(high + ahead, mode="clip") for ahead in range(3))
    pairs = first.astype(np.uint16) << 8 | second
    general = (pairs == 0xE280) & ((third < 0x8B) | (third > 0xA7))  # U+2000-200A, 2028, 2029, 202F
    return not (general | np.isin(pairs, _SPACE_PAIRS)).any()


def _split_ascii_whitespace(text: Any) -> Any:
    return _without_empty_ends(pc.ascii_split_whitespace(text).values)


def _without_empty_ends(words: Any) -> Any:
    """Drop the empty strings that pyarrow yields before leading and after trailing whitespace."""
    first, last = 0, len(words)
    while first < last and not words[first].as_buffer().size:
        first += 1
    while first < last and not words[last - 1].as_buffer().size:
        last -= 1
    return words.slice(first, last - first)
