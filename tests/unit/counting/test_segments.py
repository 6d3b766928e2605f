"""Segments of a text, against the official cases of Unicode."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import regex

from app.counting.segments import segments_of, words_of
from app.counting.text import count_words

CASES = Path(__file__).with_name("unicode-17") / "WordBreakTest.txt"

LETTER_OR_DIGIT = regex.compile(r"[\p{Alphabetic}\p{N}]")


def official_cases() -> list[str]:
    """Read the cases, each a line of the file."""
    lines = CASES.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def segments_in(case: str) -> list[str]:
    """The segments of a case, in order."""
    parts = [re.findall("[0-9A-F]+", part) for part in case.split("÷")]
    return ["".join(chr(int(code, 16)) for code in part) for part in parts if part]


def text_of(case: str) -> str:
    """The text of a case, without its boundaries."""
    return "".join(segments_in(case))


def words_in(case: str) -> list[str]:
    """The words of a case: its segments that hold a letter or digit, case-folded."""
    lettered = filter(LETTER_OR_DIGIT.search, segments_in(case))
    return [segment.strip().casefold() for segment in lettered]


def counted(text: str) -> dict[str, int]:
    """The words of one message as the application counts them."""
    words, counts = count_words([text.encode()], "unicode")
    return dict(zip(words.to_pylist(), counts.to_pylist(), strict=True))


def test_all_official_cases_are_there() -> None:
    """The file holds every case of Unicode 17's WordBreakTest.txt."""
    assert len(official_cases()) == 1944


def test_every_text_has_the_official_segments() -> None:
    """A text has boundaries where the official case has them, and nowhere else."""
    found = {case: segments_of(text_of(case)) for case in official_cases()}
    assert found == {case: segments_in(case) for case in found}


def test_every_text_has_the_official_words() -> None:
    """The words of a text are the official segments with a letter or digit, case-folded."""
    found = {case: list(words_of(text_of(case))) for case in official_cases()}
    assert found == {case: words_in(case) for case in found}


def test_every_text_is_counted_by_the_official_words() -> None:
    """Counting a text as a message finds each of its official words as often as it occurs."""
    found = {case: counted(text_of(case)) for case in official_cases()}
    assert found == {case: Counter(words_in(case)) for case in found}
