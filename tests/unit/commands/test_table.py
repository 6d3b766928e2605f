"""Tables on the terminal and in pipes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from app.commands.table import Column, print_line, show

if TYPE_CHECKING:
    import pytest

COLUMNS = (Column("word"), Column("count", right=True))


def test_elsewhere_than_on_a_terminal_a_table_is_aligned_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Columns are as wide as their widest cell on screen; nothing is drawn."""
    show(COLUMNS, [("the", "12"), ("語", "3"), ("\x1b[2J", "1")])
    assert capsys.readouterr().out.splitlines() == [
        "word     count",
        "the         12",
        "語           3",
        r"\x1b[2J      1",
    ]


def test_on_a_terminal_a_table_is_drawn(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rich draws it; markup in words stays what it is, and nothing controls the terminal."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show(COLUMNS, [("[red]", "12"), ("\x1b[2J", "1")])
    text = capsys.readouterr().out
    assert "[red]" in text
    assert "\x1b[2J" not in text
    assert r"\x1b[2J" in text


def test_a_line_is_coloured_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in a pipe, and not where NO_COLOR is set."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_line("all is well", "green")
    assert capsys.readouterr().out == "all is well\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_line("all is well", "green")
    assert capsys.readouterr().out == "\x1b[32mall is well\x1b[0m\n"
    monkeypatch.setenv("NO_COLOR", "1")
    print_line("all is well", "green")
    assert capsys.readouterr().out == "all is well\n"
