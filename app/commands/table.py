"""Lines and tables on standard output: coloured and drawn on a terminal, plain text elsewhere."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

import click
from rich.cells import cell_len

from app.console import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Column", "print_line", "show"]


CELLS = 100
"""Maximum width of a cell that is shown whole, in columns of a terminal."""


class Column(NamedTuple):
    """The name of a column, and whether its cells are aligned right."""

    name: str
    right: bool = False


def print_line(text: str, colour: str) -> None:
    """Print a line, coloured on a terminal unless NO_COLOR is set."""
    click.secho(text, fg=colour, color=False if os.environ.get("NO_COLOR") else None)


def show(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; nothing in its cells can control the terminal."""
    cells = [[shown(cell, CELLS) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw(columns, cells)
    else:
        for line in _plain(columns, cells):
            click.echo(line)


def _draw(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.name, justify="right" if column.right else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def _plain(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [[column.name for column in columns], *rows]
    widths = [max(cell_len(line[place]) for line in lines) for place in range(len(columns))]
    return [
        "  ".join(
            _padded(cell, width, right=column.right)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in lines
    ]


def _padded(cell: str, width: int, *, right: bool) -> str:
    space = " " * (width - cell_len(cell))
    return space + cell if right else cell + space
