"""Words of the mode `unicode`: segments by the default word boundaries of UAX #29, case-folded.

A word is a segment that holds a letter or digit (Alphabetic, or general category N), without
whitespace at its ends, case-folded by `str.casefold`. So `can't`, `3.14` and `a_b` are one word
each. Punctuation and emoji are no words; a keycap such as 1️⃣ is one, since it holds a digit.
Scripts without spaces get what the default rules give them: one word for each ideograph, hiragana
or Thai character, one for a run of katakana. Text is not normalised: é in one and in two code
points are two words, as with whitespace.

The library `unicode-segmentation-rs` finds the segments. docs/decisions/word-boundaries.md compares
it with rules of our own, and lists the two cases in which it departs from UAX #29.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from unicode_segmentation_rs import split_word_bounds, unicode_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["segment_counts", "segments_of", "words_of"]

PIECE_CHARACTERS = 1 << 14
"""Characters that the library gets in one call: it holds the GIL for as long."""

# ASCII that, beside a letter or digit at the end of a token, is never part of its segment.
_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^`{|}~"

_ZWJ = "\u200d"
_AFTER_ZWJ = re.compile(f"(?s)(?<={_ZWJ}).")


def words_of(text: str) -> Iterator[str]:
    """Yield the words of a text in order."""
    for piece in _pieces(text):
        for segment in _lettered_segments(piece):
            yield _as_word(segment)


def segment_counts(tokens: Any, counts: Any) -> list[tuple[Any, Any]]:
    """Turn counts of tokens, texts between ASCII whitespace, into counts of their words.

    `tokens` (pyarrow string) and `counts` (int64) have one length. Returns (words, counts) in two
    parts that are still to be merged.

    Tokens can be segmented alone: by UAX #29 nothing joins the whitespace after it, and it joins
    only more whitespace and the marks after it (WB3, WB3d, WB4). So a token that begins with marks
    lacks just the whitespace before its first segment, which is no part of the word anyway.
    """
    # Most tokens are ASCII letters and digits between punctuation: pyarrow counts those without a
    # Python object for any of them. Only the others need the rules.
    trimmed = pc.ascii_trim(tokens, characters=_PUNCTUATION)
    plain = pc.ascii_is_alnum(trimmed)
    others = pc.invert(plain)
    totals: Counter[str] = Counter()
    for count, equally_often in _by_count(tokens.filter(others), counts.filter(others)):
        _add_segments(totals, count, equally_often)
    return [
        (pc.ascii_lower(trimmed.filter(plain)), counts.filter(plain)),
        (
            pa.array(list(map(_as_word, totals)), tokens.type),
            pa.array(list(totals.values()), pa.int64()),
        ),
    ]


def _by_count(tokens: Any, counts: Any) -> Iterator[tuple[int, list[str]]]:
    """Group tokens by how often each occurs."""
    # Tokens of one count can be segmented as one text, in few calls: each of its words counts that
    # often. Few counts are distinct, since most tokens of a block occur once or twice.
    numbers = counts.to_numpy()
    order = np.argsort(numbers, kind="stable")
    numbers, tokens = numbers[order], tokens.take(pa.array(order))
    cuts = (np.flatnonzero(np.diff(numbers)) + 1).tolist()
    for begin, end in pairwise([0, *cuts, len(numbers)]):
        if begin < end:
            yield int(numbers[begin]), tokens.slice(begin, end - begin).to_pylist()


def _add_segments(totals: Counter[str], count: int, tokens: Iterable[str]) -> None:
    """Add to the totals the segments of tokens that occur `count` times each."""
    found = totals if count == 1 else Counter[str]()
    for text in _joined(tokens):
        found.update(_lettered_segments(text))
    if found is not totals:
        for segment, number in found.items():
            totals[segment] += count * number


def _joined(tokens: Iterable[str]) -> Iterator[str]:
    """Join tokens to texts of about PIECE_CHARACTERS."""
    # A newline separates whatever is around it (WB3a, WB3b), as the start and end of a text do.
    some: list[str] = []
    size = 0
    for token in tokens:
        if len(token) > PIECE_CHARACTERS:
            yield from _pieces(token)
            continue
        some.append(token)
        size += len(token)
        if size >= PIECE_CHARACTERS:
            yield "\n".join(some)
            some, size = [], 0
    yield "\n".join(some)


def _pieces(text: str) -> Iterator[str]:
    """Cut a text into pieces that have the segments that they have in the whole."""
    # A boundary depends on at most two characters after it, not counting marks. So the last two
    # segments of a piece may change with what follows; every boundary before them holds. From a
    # boundary on the rules need nothing of what is before it.
    begin, size = 0, PIECE_CHARACTERS
    while begin + size < len(text):
        sure = segments_of(text[begin : begin + size])[:-2]
        length = sum(map(len, sure))
        if length:
            yield text[begin : begin + length]
            begin, size = begin + length, PIECE_CHARACTERS
        else:
            size *= 2  # one segment is longer than the piece; doubling keeps the time linear
    yield text[begin:]


def _lettered_segments(text: str) -> Sequence[str]:
    """The segments of a text that hold a letter or digit."""
    if _ZWJ not in text:
        return unicode_words(text)
    return [segment for segment in segments_of(text) if unicode_words(segment)]


def segments_of(text: str) -> list[str]:
    """The segments of a text, in order: joined, they are the text."""
    if _ZWJ not in text:
        return split_word_bounds(text)
    # The library misjudges what stands around a ZWJ with a pictograph behind it. WB3c joins those
    # two, whatever else they are, and no rule looks across: so each side is segmented alone. Only
    # a pictograph that is a letter, as Ⓜ is, joins what is before it (WB6): a letter stands in.
    cuts = [match.start() for match in _AFTER_ZWJ.finditer(text) if _is_pictograph(match[0])]
    starts = []
    for begin, end in pairwise([0, *cuts, len(text)]):
        stand_in = "a" if end < len(text) and _joins("a", text[end]) else ""
        lengths = map(len, split_word_bounds(text[begin:end] + stand_in))
        starts += [start for start in accumulate(lengths, initial=begin) if begin < start < end]
    return [text[begin:end] for begin, end in pairwise([0, *starts, len(text)])]


@functools.lru_cache(maxsize=4096)
def _is_pictograph(character: str) -> bool:
    # Only pictographs join a ZWJ (WB3c), besides marks, which join everything (WB4).
    return _joins(f"!{_ZWJ}", character) and not _joins("!", character)


def _joins(before: str, after: str) -> bool:
    return len(split_word_bounds(before + after)) == 1


def _as_word(segment: str) -> str:
    return segment.strip().casefold()
