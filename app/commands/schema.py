"""`faust -A app schema`: prints, or creates, the keyspace and the table of the counts."""

from __future__ import annotations

import asyncio
import json
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
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def schema(apply_it: bool, replication_factor: int, as_json: bool) -> None:
    """Print the keyspace and the table of the counts as CQL, or create them.

    With WORDCOUNT_CASSANDRA_DATACENTER the keyspace is replicated in that data centre. An
    existing keyspace or table stays as it is; the command reports a table that does not fit.
    """
    from app.cassandra.schema import statements
    from app.settings import Settings

    settings = Settings.read(os.environ)
    if apply_it:
        lines = asyncio.run(_apply(settings, replication_factor))
    else:
        lines = [f"{statement};" for statement in statements(settings, replication_factor)]
    if as_json:
        click.echo(json.dumps({"done" if apply_it else "statements": lines}))
    else:
        click.echo("\n".join(lines))


async def _apply(settings: Settings, replication_factor: int) -> list[str]:
    from app.cassandra.connecting import connect
    from app.cassandra.schema import apply

    async with await connect(settings) as session:
        return list(await apply(session, settings, replication_factor))
