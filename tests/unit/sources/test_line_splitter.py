"""Chunks become whole lines, and very long lines are cut between words."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from app.sources.line_splitter import LineCutter, cut_long

PIECES = ["a", "bc", "ü", "漢字", "x" * 30, " ", "\n", "\t", "\r\n", "\x0b", "\x1c", "\x85"]
SPACES = ["\u00a0", "\u1680", "\u2003", "\u2028", "\u202f", "\u205f", "\u3000"]
texts = st.lists(st.sampled_from(PIECES + SPACES), max_size=60).map("".join)


def chunks(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut `data` into chunks of the sizes, in rotation."""
    parts = []
    place = 0
    while data:
        size = sizes[place % len(sizes)]
        parts.append(data[:size])
        data = data[size:]
        place += 1
    return parts


def count(texts: list[bytes]) -> Counter[str]:
    return Counter(word for text in texts for word in text.decode().split())


@given(texts, st.lists(st.integers(1, 20), min_size=1), st.integers(8, 40))
def test_every_word_and_line_comes_out_however_the_input_is_chunked(
    text: str, sizes: list[int], limit: int
) -> None:
    """Words that fit are kept, longer ones are counted as refused, lines are exact."""
    cutter = LineCutter(limit)
    data = text.encode()
    batches = [batch for chunk in chunks(data, sizes) for batch in cutter.feed(chunk)]
    batches += cutter.finish()
    parts, refused = [], sum(batch.refused for batch in batches)
    for batch in batches:
        for line in batch.text.split(b"\n"):
            cut, more = cut_long(line, limit)
            parts += cut
            refused += more
    words = text.split()
    longer = [word for word in words if len(word.encode()) > limit]
    assert count(parts) == Counter(words) - Counter(longer)
    assert refused == len(longer)
    ended = text.encode().count(b"\n")
    assert sum(batch.lines for batch in batches) == ended + bool(data and data[-1:] != b"\n")


@given(texts, st.integers(8, 40))
def test_parts_of_a_long_line_are_no_longer_than_the_limit(text: str, limit: int) -> None:
    """No part of a cut line is longer than a message may be."""
    parts, _ = cut_long(text.encode(), limit)
    assert all(len(part) <= limit for part in parts)


def test_carriage_returns_and_other_bytes_stay_as_they_are() -> None:
    """Only newlines are removed; NULs and bytes that are not UTF-8 pass."""
    (batch,) = LineCutter().feed(b"a\r\n\xff\x00\n\n")
    assert (batch.text, batch.lines) == (b"a\r\n\xff\x00\n", 3)


def test_a_line_without_end_takes_bounded_memory() -> None:
    """At most the limit and a chunk are held, however long a line is."""
    cutter = LineCutter(limit=1000)
    for _ in range(100):
        cutter.feed(b"some words " * 50)
        assert len(cutter._held) <= 1000 + 3
    for _ in range(100):
        cutter.feed(b"x" * 500)
    assert len(cutter._held) < 1000


def test_pending_gives_the_start_of_the_next_batch() -> None:
    """The position behind the batches so far is the bytes fed less the bytes pending."""
    cutter = LineCutter(limit=10)
    cutter.feed(b"one\ntwo")
    assert cutter.pending == 3
    cutter.feed(b"x" * 100)
    assert cutter.pending == 103
    cutter.feed(b" end\nagain")
    assert cutter.pending == 5
