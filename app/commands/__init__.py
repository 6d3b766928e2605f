"""Subcommands of `faust -A app …`, one file each; the application adds `COMMANDS`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.commands.completion import completion
from app.commands.count import count
from app.commands.demo import demo
from app.commands.produce import produce
from app.commands.schema import schema
from app.commands.servers import servers
from app.commands.status import status
from app.commands.top import top

if TYPE_CHECKING:
    import click

__all__ = ["COMMANDS"]

COMMANDS: tuple[click.Command, ...] = (
    completion,
    demo,
    count,
    produce,
    schema,
    servers,
    status,
    top,
)
