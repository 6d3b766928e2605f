"""Words of the mode `unicode`: segments by the default word boundaries of UAX #29, case-folded.

A word is a segment that holds a letter or digit (Alphabetic, or general category N), without
whitespace at its ends, case-folded by `str.casefold`. So `can't`, `3.14` and `a_b` are one word
each; punctuation and emoji are none (a keycap such as 1️⃣ is: it holds a digit); scripts without
spaces give what the default rules give them: one word for each ideograph, hiragana or Thai
character, one for a run of katakana. Text is not normalised: é in one and in two code points are
two words, as with whitespace.

The rules are written out below, because the word boundary of `regex` misjudges a lone regional
indicator and a mark at the start of the text.
"""

from __future__ import annotations

import functools
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import regex  # type: ignore[import-untyped]  # it ships no types

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["segment_counts", "words_of"]

_CLASSES = {
    "E": r"[\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}]",
    "LETTER": r"[\p{WB=ALetter}\p{WB=Hebrew_Letter}]",
    "HEBREW": r"\p{WB=Hebrew_Letter}",
    "DIGIT": r"\p{WB=Numeric}",
    "KATAKANA": r"\p{WB=Katakana}",
    "JOIN": r"\p{WB=ExtendNumLet}",
    "MIDLETTER": r"[\p{WB=MidLetter}\p{WB=MidNumLet}\p{WB=Single_Quote}]",
    "MIDNUM": r"[\p{WB=MidNum}\p{WB=MidNumLet}\p{WB=Single_Quote}]",
    "FLAG": r"\p{WB=Regional_Indicator}",
    "NEWLINE": r"[\p{WB=CR}\p{WB=LF}\p{WB=Newline}]",
}

# `<X>` is one character of a class with the marks that follow it (WB4). A rule names those before.
_RULES = {
    "LETTERS": r"""  # WB5-7, 7b, 7c
        (?: {HEBREW}{E}*+ (?: \p{WB=Double_Quote}{E}*+ (?={HEBREW}) )?+ | <LETTER> )
        (?: {MIDLETTER}{E}*+ (?={LETTER}) )?+
    """,
    "DIGITS": r" <DIGIT> (?: {MIDNUM}{E}*+ (?={DIGIT}) )?+ ",  # WB8, 11, 12
    "RUN": r" (?: {LETTERS} | {DIGITS} )++ | (?: <KATAKANA> )++ ",  # WB9, 10, 13
    "PART": r"""
        (?: <JOIN> )*+ {RUN} (?: (?: <JOIN> )++ {RUN} )*+  # WB13a, 13b
            (?: (?<= {HEBREW}{E}*+ ) \p{WB=Single_Quote}{E}*+ | (?: <JOIN> )*+ )  # WB7a
        | (?: <JOIN> )++
        | <FLAG> (?: <FLAG> )?+  # WB15, 16
        | \r\n | {NEWLINE}  # WB3, 3a, 3b
        | \p{WB=WSegSpace}++ {E}*+  # WB3d
        | (?s:.){E}*+  # WB999
    """,
    "SEGMENT": r" {PART} (?: (?<=\p{WB=ZWJ}) (?=\p{Extended_Pictographic}) {PART} )*+ ",  # WB3c
}


def _compiled() -> Any:
    # Rules stand written out in each other. As groups called by name each call would copy what
    # has matched so far: a long segment would take quadratic time.
    rule = "{SEGMENT}"
    for name, text in reversed(_RULES.items()):
        rule = rule.replace(f"{{{name}}}", f"(?: {text} )")
    for name, characters in _CLASSES.items():
        rule = rule.replace(f"<{name}>", f"{characters}{{E}}*+")
    for name, characters in _CLASSES.items():
        rule = rule.replace(f"{{{name}}}", characters)
    return regex.compile(rule, regex.VERBOSE | regex.VERSION1)


_SEGMENT = _compiled()
_LETTER_OR_DIGIT = regex.compile(r"[\p{Alphabetic}\p{N}]")

# ASCII that, beside a letter or digit at the end of a token, is never part of its segment.
_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^`{|}~"

_CACHED_LENGTH = 64


def words_of(text: str) -> Iterator[str]:
    """Yield the words of a text in order."""
    for match in _SEGMENT.finditer(text):
        segment = match[0]
        if _LETTER_OR_DIGIT.search(segment):
            yield segment.strip().casefold()


def segment_counts(tokens: Any, counts: Any) -> list[tuple[Any, Any]]:
    """Turn counts of tokens, texts between ASCII whitespace, into counts of their words.

    `tokens` (pyarrow string) and `counts` (int64) have one length. Returns (words, counts) in two
    parts that are still to be merged.

    Tokens can be looked at alone: by UAX #29 nothing joins the whitespace after it, and it joins
    only more whitespace and the marks after it (WB3, WB3d, WB4). So a token that begins with marks
    lacks just the whitespace before its first segment, which is no part of the word anyway.
    """
    trimmed = pc.ascii_trim(tokens, characters=_PUNCTUATION)
    plain = pc.ascii_is_alnum(trimmed)
    totals: Counter[str] = Counter()
    others = pc.invert(plain)
    for token, count in zip(
        tokens.filter(others).to_pylist(), counts.filter(others).to_pylist(), strict=True
    ):
        words = _cached_words(token) if len(token) <= _CACHED_LENGTH else words_of(token)
        for word in words:
            totals[word] += count
    return [
        (pc.ascii_lower(trimmed.filter(plain)), counts.filter(plain)),
        (pa.array(list(totals), tokens.type), pa.array(list(totals.values()), pa.int64())),
    ]


@functools.lru_cache(maxsize=1 << 16)
def _cached_words(token: str) -> list[str]:
    return list(words_of(token))
