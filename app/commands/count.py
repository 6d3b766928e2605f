"""`faust -A app count WORD`: how often a word occurs in each window."""

from __future__ import annotations

import json

import click

from app.commands.client import ask, url_option
from app.commands.errors import WordCountCommand
from app.commands.table import Column, show

__all__ = ["count"]


@click.command(cls=WordCountCommand)
@click.argument("word")
@click.option("--json", "as_json", is_flag=True, help="Print the worker's JSON.")
@url_option
def count(word: str, as_json: bool, url: str | None) -> None:
    """Print how often WORD occurs in each window, newest first.

    With WORDCOUNT_WORDS=unicode WORD is case-folded, as the words of the text are.
    """
    answer = ask(url, "api/words", {"word": word})
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
        return
    rows = [
        (window["start"], window["end"] or "", f"{window['count']:,}")
        for window in answer["windows"]
    ]
    show([Column("start"), Column("end"), Column("count", right=True)], rows)
