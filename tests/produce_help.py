"""Writes the help of every source to docs/produce.txt: `python -m tests.produce_help`."""

from __future__ import annotations

from pathlib import Path

from click import Context
from click.testing import CliRunner

from app.commands.produce import produce

__all__ = ["DOCUMENT", "help_of_all"]

DOCUMENT = Path(__file__).parents[1] / "docs" / "produce.txt"


def help_of_all() -> str:
    """Return the outputs of `produce --help` and of each `produce SOURCE --help`, in order."""
    names = produce.list_commands(Context(produce))
    texts = []
    for arguments in ([], *([name] for name in names)):
        shown = CliRunner().invoke(
            produce, [*arguments, "--help"], prog_name="faust -A app produce", terminal_width=96
        )
        command = " ".join(["faust -A app produce", *arguments, "--help"])
        texts.append(f"$ {command}\n{shown.stdout}")
    return "\n".join(texts)


if __name__ == "__main__":
    DOCUMENT.write_text(help_of_all(), encoding="utf-8")
