"""The text that a worker prints each interval."""

from __future__ import annotations

import io
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from app.console import Console, Printer, Progress, aligned, render, shown
from app.queries.merge import NotServingError
from app.times import parse_iso

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = parse_iso("2026-11-22T21:40:05.250Z")
WINDOW = {"start": "2026-11-22T21:40:00Z", "end": "2026-11-22T21:41:00Z", "final": False}


def top(*words: tuple[str, int], window: Any = WINDOW) -> dict[str, Any]:
    return {"window": window, "words": [{"word": w, "count": c} for w, c in words]}


def test_an_interval_looks_like_spark_s() -> None:
    """A rule, the time and the window, a rule, aligned words and counts, a line of rates."""
    text = render(NOW, top(("the", 1200), ("日本", 7)), Progress(1234.4, 56, 7))
    assert text.splitlines() == [
        "-" * 60,
        "Time: 2026-11-22 21:40:05 UTC   window 21:40\N{EN DASH}21:41",
        "-" * 60,
        "the   1200",
        "日本     7",
        "(1,234 lines/s, lag 56, 7 rows waiting for Cassandra)",
        "",
    ]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2026-11-22T21:40:05Z", "2026-11-22T21:40:10Z", "21:40:05-21:40:10"),
        ("2026-11-22T23:59:00Z", "2026-11-23T00:00:00Z", "23:59-00:00"),
        ("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z", "2020-01-01 00:00 - 2020-01-02 00:00"),
        ("1970-01-01T00:00:00Z", None, "without end"),
    ],
)
def test_windows_are_named_as_briefly_as_possible(
    start: str, end: str | None, expected: str
) -> None:
    """Seconds appear only if there are any, the date only if it is another day's."""
    text = render(NOW, top(window={"start": start, "end": end}), Progress(None, None, 0))
    assert f"window {expected}\n" in text.replace("\N{EN DASH}", "-")
    assert "(lag unknown, 0 rows waiting for Cassandra)" in text


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("plain", "plain"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\rb\nc\td\x07", r"a\rb\nc\td\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("\u202eturned", r"\u202eturned"),
        ("\u2028", r"\u2028"),
        ("\U000e0041", r"\U000e0041"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("क्\u200dष", "क्\u200dष"),
        ("x" * 40, "x" * 40),
        ("x" * 41, "x" * 39 + "…"),
        ("語" * 21, "語" * 19 + " …"),
    ],
)
def test_words_are_shown_without_control_characters_and_short(word: str, expected: str) -> None:
    """Nothing in a word reaches the terminal as a command, and long ones end in …."""
    assert shown(word) == expected


@given(st.text())
def test_no_word_controls_the_terminal(word: str) -> None:
    """The text of any word is printable and fits."""
    text = shown(word)
    assert cell_len(text) <= 40
    assert text.replace("\u200c", "").replace("\u200d", "").isprintable()


def test_columns_are_aligned_by_width_on_screen() -> None:
    """Wide characters take two columns, combining ones none."""
    assert aligned([("a", "1"), ("語", "22"), ("e\u0301", "333")]) == [
        "a     1",
        "語   22",
        "e\u0301   333",
    ]


class Fake:
    """Stands for the table and the queries."""

    def __init__(self) -> None:
        self.owned: dict[int, Any] = {0: None}
        self.answers: list[Any] = []
        self.printed: list[str] = []
        self.lines = 0

    async def top(self, _: int) -> Any:
        """The next answer."""
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def all(self) -> Any:
        """A status in which 100 more lines are counted."""
        self.lines += 100
        partitions = [{"lines_lag": 3, "rows_waiting": 2}, {"lines_lag": 4, "rows_waiting": 0}]
        return {"workers": [{"lines": self.lines, "partitions": partitions}], "silent": []}


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def interval(fake: Any) -> Callable[[], Any]:
    return Console(fake, fake, fake, words=10, write=fake.printed.append).print_top


async def test_it_prints_when_something_has_changed(
    fake: Fake, interval: Callable[[], Any]
) -> None:
    """The same words, an empty table or a window that became final print nothing."""
    same = top(("a", 1))
    final = top(("a", 1), window={**WINDOW, "final": True})
    fake.answers = [top(window=None), same, same, final, top(("a", 2))]
    for printed in (0, 1, 1, 1, 2):
        await interval()
        assert len(fake.printed) == printed
    assert "lines/s" not in fake.printed[0]
    assert "lines/s, lag 7, 2 rows waiting" in fake.printed[1]


async def test_only_the_owner_of_partition_0_prints(
    fake: Fake, interval: Callable[[], Any]
) -> None:
    """Another worker prints nothing and queries nothing."""
    fake.owned = {1: None}
    await interval()
    assert fake.printed == []


async def test_0_words_turn_it_off(fake: Any) -> None:
    """WORDCOUNT_PRINT=0 prints nothing and queries nothing."""
    await Console(fake, fake, fake, words=0, write=fake.printed.append).print_top()
    assert fake.printed == []


async def test_no_failure_is_raised(
    fake: Fake, interval: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A rebalance is skipped; an unexpected error is logged once, and printing continues."""
    fake.answers = [NotServingError("rebalance"), RuntimeError("x"), RuntimeError("x"), top()]
    for _ in range(4):
        await interval()
    assert len(fake.printed) == 1
    assert len(caplog.records) == 1


class TestPrinter:
    """Prints from a thread of its own."""

    def test_texts_come_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A text reaches standard output in its encoding."""
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w", encoding="ascii") as out:
            monkeypatch.setattr(sys, "stdout", out)
            Printer().write("naïve\n")
            assert reader.readline() == b"na?ve\n"

    def test_a_reader_that_stops_reading_does_not_stop_the_worker(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While the pipe is full, texts are dropped, and `write` still returns at once."""
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w") as out:
            monkeypatch.setattr(sys, "stdout", out)
            printer = Printer()
            done = threading.Event()

            def write_much() -> None:
                for _ in range(100):
                    printer.write("x" * 65_535 + "\n")
                done.set()

            threading.Thread(target=write_much, daemon=True).start()
            assert done.wait(10)
            assert len(reader.readline()) == 65_536

    def test_without_a_terminal_nothing_happens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A standard output that is closed or not a file stops nothing."""
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        printer = Printer()
        printer.write("lost")
        printer.write("lost too")
