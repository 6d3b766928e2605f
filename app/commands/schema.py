"""`faust -A app schema`: prints, or creates, the keyspace and the table of the counts."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import click

from app.commands.errors import WordCountCommand

if TYPE_CHECKING:
    from app.settings import Settings

__all__ = ["schema"]


@click.command(cls=WordCountCommand)
@click.option("--apply", "apply_it", is_flag=True, help="Create what is missing in Cassandra.")
@click.option(
    "--replication-factor",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Copies of every row: of the keyspace, when it is created.",
)
def schema(apply_it: bool, replication_factor: int) -> None:
    """Print the keyspace and the table of the counts as CQL, or create them.

    With WORDCOUNT_CASSANDRA_DATACENTER the keyspace is replicated in that data centre. What is
    there already stays as it is; a table that does not fit the settings is named.
    """
    from app.cassandra.schema import statements
    from app.settings import Settings

    settings = Settings.read(os.environ)
    if apply_it:
        asyncio.run(_apply(settings, replication_factor))
    else:
        for statement in statements(settings, replication_factor):
            click.echo(f"{statement};")


async def _apply(settings: Settings, replication_factor: int) -> None:
    from app.cassandra.schema import apply
    from app.cassandra.session import connect

    async with await connect(settings) as session:
        for line in await apply(session, settings, replication_factor):
            click.echo(line)
