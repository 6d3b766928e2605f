"""The table of settings in README matches the code."""

from __future__ import annotations

from pathlib import Path

from app.settings import describe

README = Path(__file__).parents[2] / "README.md"


def test_the_table_of_settings_is_the_settings() -> None:
    """README lists every setting with its default and its help text, in order."""
    rows = [
        f"| `{variable}` | {f'`{default}`' if default else ''} | {text} |"
        for variable, default, text in describe()
    ]
    assert "\n".join(rows) in README.read_text(encoding="utf-8")
