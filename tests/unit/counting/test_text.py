"""Text to words to counts."""

from __future__ import annotations

import itertools
import time
import tracemalloc
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from app.counting import segments, text
from app.counting.segments import words_of
from app.counting.text import as_counted, count_words, invalid_utf8, merge_counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WHITESPACE = [chr(c) for c in range(0x110000) if chr(c).isspace()]

near_words = st.text(st.sampled_from([*"ab\0é漢🛑\u0301\u200b\u3001“…", *WHITESPACE]), max_size=30)
"""Texts in which whitespace of every kind and its look-alikes are frequent."""

values_of_text = st.lists(st.one_of(near_words, st.text(max_size=30)), max_size=12)

NEW_IN_UNICODE_18 = """
558-558 58b-58c 5c8-5c9 b53-b54 1ade-1adf 1aec-1af0 208f-208f 209d-209f a7dd-a7dd a7e2-a7e2
ab6c-ab6d 107bb-107bf 10ecb-10ecf 10ed9-10eee 10ef0-10ef9 11b0a-11b0a 11df0-11df1 1246f-1246f
12475-1247f 12550-12686 18cd6-18cda 18d1f-18d20 18e00-19191 191a0-191d2 1b123-1b128 1b168-1b168
1d127-1d128 1d250-1d252 1d25b-1d25c 1d25f-1d25f 1d280-1d281 1d6a6-1d6a6 1df1f-1df24 1df2b-1df81
1df90-1df96 1dfcd-1dfff 1f1ae-1f1ae 1f7da-1f7db 1f7f1-1f7ff 2b81e-2b81e 3d000-3fc3f
"""
"""Code points that are newer than Unicode 17, which the segmentation library knows."""

UAX29 = (
    "aZé1.:,;'\"_-א״ב\u05f3カひ漢ส\u0301\u200d\u00ad\u202f\u00a0\u3000\u2019‿"
    "🇬🇧🛑👩🏽Ⓜ🅰ℹ\u093f \t\r\n\x0b\x85\u2028\x1c"
)
"""Characters of every class that the rules distinguish."""


def code_points(ranges: str) -> list[str]:
    """Return the characters of ranges of hexadecimal numbers."""
    bounds = [[int(end, 16) for end in each.split("-")] for each in ranges.split()]
    return [chr(code) for first, last in bounds for code in range(first, last + 1)]


KNOWN_CHARACTERS = st.characters(
    exclude_categories=["Cs"], exclude_characters=code_points(NEW_IN_UNICODE_18)
)


def counted(values: Sequence[bytes | None], mode: Any = "whitespace") -> dict[str, int]:
    words, counts = count_words(values, mode)
    assert counts.type == pa.int64()
    assert len(words) == len(counts) == len(set(words.to_pylist()))
    return dict(zip(words.to_pylist(), counts.to_pylist(), strict=True))


def truth(values: Sequence[bytes]) -> Counter[str]:
    return Counter(word for value in values for word in value.decode().split())


@pytest.fixture(params=[1, 7, 4 << 20])
def step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(text, "CHUNK_BYTES", request.param)
    size: int = request.param
    return size


class TestWhitespace:
    """The mode `whitespace`."""

    @given(values_of_text, st.sampled_from([1, 2, 5, 40, 4 << 20]))
    def test_counts_what_split_splits(self, values: list[str], size: int) -> None:
        """Counts are those of str.split and Counter, wherever the text is cut into chunks."""
        encoded = [value.encode() for value in values]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(text, "CHUNK_BYTES", size)
            assert counted(encoded) == truth(encoded)

    @pytest.mark.parametrize("space", WHITESPACE, ids=lambda space: f"U+{ord(space):04X}")
    def test_each_kind_of_whitespace_separates(self, space: str, step: int) -> None:
        """Every character that str.split splits on does so here, in runs and at both ends too."""
        value = f"{space}{space}ab{space}c{space}{space}ab{space}{space}".encode()
        assert counted([value]) == {"ab": 2, "c": 1}

    def test_no_other_character_separates(self) -> None:
        """Of all code points only whitespace splits a word."""
        others = [
            chr(c) for c in range(0x110000) if not chr(c).isspace() and not 0xD800 <= c <= 0xDFFF
        ]
        word = "".join(others)
        assert counted([word.encode()]) == {word: 1}

    @pytest.mark.parametrize(
        "values", [[], [b""], [b"", b""], [b" \n"], [b"\xe3\x80\x80" * 9], [None], [b"\n", None]]
    )
    def test_values_without_words_count_nothing(self, values: list[bytes | None]) -> None:
        """No values, empty ones, whitespace alone and messages without a value have no words."""
        assert counted(values) == {}
        assert counted(values, "unicode") == {}

    def test_words_do_not_cross_messages(self) -> None:
        """The end of one message and the start of the next are two words."""
        assert counted([b"a", b"b", None, b"a"]) == {"a": 2, "b": 1}

    def test_invalid_text_is_refused(self) -> None:
        """A value that is not UTF-8 raises instead of counting garbage."""
        with pytest.raises(pa.ArrowInvalid):
            count_words([b"ok", b"\xff"], "whitespace")

    @pytest.mark.parametrize(
        "piece",
        [b"x ", "x\u3000".encode(), b"x"],
        ids=["ascii", "ideographic", "one word"],
    )
    def test_memory_stays_a_small_multiple_of_a_huge_line(self, piece: bytes) -> None:
        """Even one word of 16 MB, copied by each step and by this test, keeps within a bound."""
        value = piece * (16_000_000 // len(piece))
        counts, peak = counted_with_peak(value)
        assert counts == truth([value])
        assert peak < 6 * len(value), f"{peak:,} bytes"


def counted_with_peak(value: bytes) -> tuple[dict[str, int], int]:
    """Counts, and the most bytes that Arrow, numpy and Python held at once to find them."""
    default = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(default)
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        counts = counted([value])
        return counts, tracemalloc.get_traced_memory()[1] + pool.max_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(default)


class TestInvalid:
    """Values that are not UTF-8."""

    def test_valid_text_has_no_reasons(self) -> None:
        """Valid values, empty ones and messages without one are all fine."""
        assert invalid_utf8(["é漢🛑".encode(), b"", None]) == {}
        assert invalid_utf8([]) == {}

    def test_each_bad_value_is_named_with_its_reason(self) -> None:
        """The answer names index, byte, place and reason of each bad value."""
        assert invalid_utf8([b"ok", b"a\xff", None, b"\xe2\x82"]) == {
            1: "byte 0xff at 1: invalid start byte",
            3: "byte 0xe2 at 0: unexpected end of data",
        }

    @pytest.mark.parametrize(
        "bad",
        [
            b"\xed\xa0\x80",  # a surrogate
            b"\xc0\xaf",  # overlong
            b"\xe0\x80\xaf",
            b"\xf0\x80\x80\xaf",
            b"\xf4\x90\x80\x80",  # beyond U+10FFFF
            b"\xf8\x88\x80\x80\x80",
            b"\x80",
        ],
    )
    def test_forbidden_forms_are_invalid(self, bad: bytes) -> None:
        """Surrogates, overlong forms and code points beyond the last are not UTF-8."""
        assert set(invalid_utf8([b"a", bad])) == {1}

    @pytest.mark.parametrize("character", ["é", "漢", "🛑"])
    def test_halves_of_a_character_do_not_make_each_other_valid(self, character: str) -> None:
        """A character cut between two messages makes both invalid."""
        encoded = character.encode()
        for cut in range(1, len(encoded)):
            assert set(invalid_utf8([encoded[:cut], encoded[cut:]])) == {0, 1}

    @given(
        st.lists(
            st.one_of(
                st.binary(max_size=8),
                st.lists(
                    st.sampled_from(
                        [b"\xed", b"\xe0", b"\xf4", b"\x80", b"\x9f", b"\xa0", b"\xc2"]
                    ),
                    max_size=5,
                ).map(b"".join),
                st.text(max_size=5).map(str.encode),
            ),
            max_size=6,
        )
    )
    def test_agrees_with_python(self, values: list[bytes]) -> None:
        """A value is bad just where Python's strict decoder raises."""

        def fails(value: bytes) -> bool:
            try:
                value.decode()
            except UnicodeDecodeError:
                return True
            return False

        assert set(invalid_utf8(values)) == {i for i, value in enumerate(values) if fails(value)}


class TestMerge:
    """Adding up counts."""

    @given(st.lists(st.dictionaries(st.text(max_size=2), st.integers(1, 1 << 40)), max_size=5))
    def test_adds_up_like_counters(self, parts: list[dict[str, int]]) -> None:
        """Counts of the same word in several parts become their sum."""
        merged = merge_counts(
            (pa.array(list(part), pa.string()), pa.array(list(part.values()), pa.int64()))
            for part in parts
        )
        expected: Counter[str] = Counter()
        for part in parts:
            expected.update(part)
        assert dict(zip(*(column.to_pylist() for column in merged), strict=True)) == expected

    def test_large_strings_mix_with_others(self) -> None:
        """Parts whose words are large strings merge with those whose words are not."""
        one = pa.array([1], pa.int64())
        words, counts = merge_counts(
            [(pa.array(["a"]), one), (pa.array(["a"], pa.large_string()), one)]
        )
        assert (words.to_pylist(), counts.to_pylist()) == (["a"], [2])


class TestUnicode:
    """The mode `unicode`."""

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("Can't stop; WON'T stop!", ["can't", "stop", "won't", "stop"]),
            ("can\u2019t 3.14 1,234.5", ["can\u2019t", "3.14", "1,234.5"]),
            ("e.g. a_b __x__", ["e.g", "a_b", "__x__"]),
            ("well-known (a:b) “quoted”", ["well", "known", "a:b", "quoted"]),
            ("Straße STRASSE", ["strasse", "strasse"]),
            ("ש\"ש א' x'", ['ש"ש', "א'", "x"]),
            ("カタカナ ひらがな 漢字", ["カタカナ", *"ひらがな漢字"]),
            ("5\u202f000 \u202f5\u202f x", ["5\u202f000", "5", "x"]),
            ("🛑 👩🏽 🇬🇧 … -- _ '", []),
            ("1\ufe0f\u20e3 2²", ["1\ufe0f\u20e3", "2", "²"]),
            ("🇬a", ["a"]),
            ("\u0301a \u0301b", ["a", "b"]),
            ("e\u0301 é", ["e\u0301", "é"]),
            ("a\0b", ["a", "b"]),
        ],
    )
    def test_words_are_those_of_uax_29(self, line: str, words: list[str]) -> None:
        """Segments that hold a letter or digit are words, case-folded."""
        assert list(words_of(line)) == words
        assert counted([line.encode()], "unicode") == Counter(words)

    @given(
        st.lists(st.text(st.sampled_from(UAX29), max_size=12), max_size=5),
        st.sampled_from([1, 3, 4 << 20]),
    )
    def test_counts_are_those_of_the_whole_text_segmented(
        self, values: list[str], size: int
    ) -> None:
        """Segmenting tokens gives the words that the rules give for each whole message."""
        expected = Counter(word for value in values for word in reference_words(value))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(text, "CHUNK_BYTES", size)
            assert counted([value.encode() for value in values], "unicode") == expected

    @given(st.text(KNOWN_CHARACTERS, max_size=15))
    def test_any_text_is_segmented_by_the_rules(self, value: str) -> None:
        """Characters from all of Unicode follow the rules, too."""
        assert counted([value.encode()], "unicode") == Counter(reference_words(value))

    @given(st.text(st.sampled_from(UAX29), max_size=40), st.sampled_from([1, 3, 8]))
    def test_a_long_text_is_segmented_in_pieces(self, value: str, size: int) -> None:
        """A text that is cut into pieces has the words of the whole text."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(segments, "PIECE_CHARACTERS", size)
            assert list(words_of(value)) == list(reference_words(value))

    def test_a_long_token_is_counted(self) -> None:
        """A token without whitespace that is longer than a piece counts like any other."""
        value = ("Ab," * 10_000).encode()
        assert counted([value], "unicode") == {"ab": 10_000}

    def test_tokens_count_as_often_as_they_occur(self) -> None:
        """Words add up over tokens of any number of occurrences."""
        values = ["“Ab” cd-ef".encode()] * 3 + ["“ab” “ab”".encode(), "x—ab".encode()]
        assert counted(values, "unicode") == {"ab": 6, "cd": 3, "ef": 3, "x": 1}

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("a:\u200d👩 b", ["a", "b"]),
            ("it\u2019\u200d👩", ["it"]),
            ("!\u200dⓂa", ["!\u200dⓜa"]),
            ("a:\u200dⓂ", ["a:\u200dⓜ"]),
            ("👩\u200d👩\u200d👧 a", ["a"]),
        ],
    )
    def test_a_pictograph_behind_a_joiner_follows_the_rules(
        self, line: str, words: list[str]
    ) -> None:
        """The segmentation library alone would join more, or less, than UAX #29 does."""
        assert list(words_of(line)) == words
        assert list(reference_words(line)) == words

    @pytest.mark.parametrize(
        ("start", "more"),
        [
            ("1", ",1"),
            ("a", "'a"),
            ("a", "_a"),
            ("a", "\u0301"),
            ("1\u200d", "🛑\u200d"),
            ("א", '"א'),
        ],
    )
    def test_a_long_segment_takes_linear_time(self, start: str, more: str) -> None:
        """A line that is one word costs as any other; in quadratic time it took minutes."""
        value = start + more * (400_000 // len(more))
        began = time.process_time()
        found = counted([value.encode()], "unicode")
        assert time.process_time() - began < 5
        assert found == {value: 1}


# The rules of UAX #29 one after the other, as the report states them

NEWLINES = {"CR", "LF", "Newline"}
MARKS = {"Extend", "Format", "ZWJ"}
LETTERS = {"ALetter", "Hebrew_Letter"}
MID_LETTERS = {"MidLetter", "MidNumLet", "Single_Quote"}
MID_NUMBERS = {"MidNum", "MidNumLet", "Single_Quote"}
ALPHANUMERIC = LETTERS | {"Numeric"}
WORDLIKE = ALPHANUMERIC | {"Katakana"}
OTHERS = {"ExtendNumLet", "WSegSpace", "Regional_Indicator", "Double_Quote"}
CLASS = {
    name: regex.compile(rf"\p{{WB={name}}}")
    for name in NEWLINES | MARKS | WORDLIKE | MID_LETTERS | MID_NUMBERS | OTHERS
}
PICTOGRAPH = regex.compile(r"\p{Extended_Pictographic}")
LETTER_OR_DIGIT = regex.compile(r"[\p{Alphabetic}\p{N}]")


def class_of(character: str) -> str:
    return next((name for name, pattern in CLASS.items() if pattern.match(character)), "Other")


def reference_words(value: str) -> Iterator[str]:
    classes = [class_of(character) for character in value]
    cuts = [i for i in range(1, len(value)) if is_boundary(value, classes, i)]
    for start, end in itertools.pairwise([0, *cuts, len(value)]):
        if LETTER_OR_DIGIT.search(value[start:end]):
            yield value[start:end].strip().casefold()


def is_boundary(value: str, classes: list[str], place: int) -> bool:
    before, after = classes[place - 1], classes[place]
    if before in NEWLINES or after in NEWLINES:
        return (before, after) != ("CR", "LF")
    if (before == "ZWJ" and PICTOGRAPH.match(value[place])) or before == after == "WSegSpace":
        return False
    if after in MARKS:
        return False
    left = without_marks(classes[:place])
    right = [name for name in classes[place:] if name not in MARKS]
    flags = len(list(itertools.takewhile("Regional_Indicator".__eq__, reversed(left))))
    if right[0] == "Regional_Indicator" and flags % 2:
        return False
    return not joins(["", *left][-2], left[-1], right[0], [*right, ""][1])


def without_marks(classes: list[str]) -> list[str]:
    """Drop marks (WB4), except those with nothing before them that they could belong to."""
    return [
        name
        for place, name in enumerate(classes)
        if name not in MARKS or place == 0 or classes[place - 1] in NEWLINES
    ]


def joins(earlier: str, before: str, after: str, later: str) -> bool:
    """Whether WB5 to WB13b forbid a boundary between `before` and `after`."""
    return (
        (before in LETTERS and after in MID_LETTERS and later in LETTERS)
        or (earlier in LETTERS and before in MID_LETTERS and after in LETTERS)
        or (before == "Hebrew_Letter" and after == "Single_Quote")
        or (before == later == "Hebrew_Letter" and after == "Double_Quote")
        or (earlier == after == "Hebrew_Letter" and before == "Double_Quote")
        or (before in ALPHANUMERIC and after in ALPHANUMERIC)
        or (earlier == after == "Numeric" and before in MID_NUMBERS)
        or (before == later == "Numeric" and after in MID_NUMBERS)
        or (before == after == "Katakana")
        or (before in WORDLIKE | {"ExtendNumLet"} and after == "ExtendNumLet")
        or (before == "ExtendNumLet" and after in WORDLIKE)
    )


@pytest.mark.parametrize("word", ["The", "Straße", "ΟΔΟΣ", "İ", "ﬃ", "Café", "x\u0345"])
@pytest.mark.parametrize("mode", ["whitespace", "unicode"])
def test_a_word_is_asked_for_as_it_is_counted(word: str, mode: Any) -> None:
    """However it is written; and a word of the table is asked for as itself."""
    found = as_counted(word, mode)
    assert counted([word.encode()], mode) == {found: 1}
    assert as_counted(found, mode) == found


def test_a_block_of_many_lines_adds_up() -> None:
    """Thousands of lines with words as frequent as in real text are counted exactly."""
    rng = np.random.default_rng(1)
    values = [" ".join(f"w{n}" for n in rng.zipf(1.3, 10) % 10_000).encode() for _ in range(5_000)]
    assert counted(values) == truth(values)
