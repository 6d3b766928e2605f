"""The help of every source, which `python -m tests.produce_help` writes to docs/produce.txt."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from app.commands.produce import produce

__all__ = ["DOCUMENT", "help_of_all"]

DOCUMENT = Path(__file__).parents[1] / "docs" / "produce.txt"


def help_of_all() -> str:
    """What `produce --help` and `produce SOURCE --help` print, one after the other."""
    names = produce.list_commands(None)  # type: ignore[arg-type] - it does not ask its context
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
