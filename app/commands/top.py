"""`faust -A app top`: the most frequent words of a window, over all running workers."""

from __future__ import annotations

import json

import click

from app.commands.client import ask, url_option
from app.commands.errors import WordCountCommand
from app.commands.table import Column, show

__all__ = ["top"]


@click.command(cls=WordCountCommand)
@click.option("-n", "words", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--window", help="Start of the window, ISO 8601 or ms since the epoch; none: newest.")
@click.option("--json", "as_json", is_flag=True, help="Print the worker's JSON.")
@url_option
def top(words: int, window: str | None, as_json: bool, url: str | None) -> None:
    """Print the most frequent words of a window."""
    query = {"n": str(words)}
    if window is not None:
        query["window"] = window
    answer = ask(url, "api/top", query)
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
        return
    shown = answer["window"]
    if shown is None:
        click.echo("nothing has been counted yet")
        return
    end = "" if shown["end"] is None else f" to {shown['end']}"
    click.echo(f"window {shown['start']}{end}{', final' if shown['final'] else ''}")
    rows = [(item["word"], f"{item['count']:,}") for item in answer["words"]]
    show([Column("word"), Column("count", right=True)], rows)
