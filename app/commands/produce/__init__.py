"""`faust -A app produce SOURCE …`: topic producers, a subcommand each.

A subcommand is a module of this package. `_common.source` makes a command of the module's own name.
Only the module of the given subcommand is imported.
"""

from __future__ import annotations

import importlib
import pkgutil

import click

from app.commands.errors import WordCountGroup

__all__ = ["produce"]


class _Sources(WordCountGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:
        modules = (module.name for module in pkgutil.iter_modules(__path__))
        return sorted(name for name in modules if not name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(cls=_Sources)
def produce() -> None:
    """Send lines of text to Kafka, from one of these sources.

    Every line is delivered once and in order; during an outage of Kafka lines wait. Ctrl-C delivers
    the lines that were read, then ends; a second Ctrl-C ends at once and prints how many lines were
    not delivered.
    """
