"""Commands that end with one line and an exit status, whatever goes wrong."""

from __future__ import annotations

from typing import Any

import click

from app.errors import WordCountError, end_with

__all__ = ["WordCountCommand", "WordCountGroup"]


class _OfTheApplication(click.Command):
    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Make the context as click does, and name the application in `Usage:`; Faust needs it."""
        if parent is not None:
            parent.find_root().info_name = "faust -A app"
        return super().make_context(info_name, args, parent, **extra)


class WordCountGroup(_OfTheApplication, click.Group):
    """A command of commands."""


class WordCountCommand(_OfTheApplication):
    """A command that ends a WordCountError with `Error: <message>` and its status.

    Use it as `@click.command(cls=WordCountCommand)`.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a WordCountError becomes one line on stderr, never a traceback."""
        try:
            return super().invoke(ctx)
        except WordCountError as error:
            # Not ctx.exit(): the group of Faust would continue with its own end of a command.
            end_with(error)
