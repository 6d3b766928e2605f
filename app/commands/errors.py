"""The one place where an error becomes one line on the terminal and an exit status."""

from __future__ import annotations

import sys
from typing import Any

import click

from app.errors import WordCountError

__all__ = ["WordCountCommand"]


class WordCountCommand(click.Command):
    """A command that ends a WordCountError with `Error: <message>` and its status.

    Use it as `@click.command(cls=WordCountCommand)`.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a WordCountError becomes one line on stderr, never a traceback."""
        try:
            return super().invoke(ctx)
        except WordCountError as error:
            click.echo(f"Error: {error}", err=True)
            # Not ctx.exit(): Faust's group would run on to its own end of a command.
            sys.exit(error.exit_status)
