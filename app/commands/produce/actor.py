"""`faust -A app produce actor`: an actor that stores lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from app.commands.produce import _common as common

if TYPE_CHECKING:
    from app.sources.base import Source

__all__ = ["actor"]


@common.source
@click.argument("name", metavar="MODULE:CLASS")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Take messages of other processes there: a JSON value a line (port 0: a free one).",
)
@common.buffered("name")
@common.rate
def actor(name: str, *, listen: str | None) -> Source:
    """Send the lines that an actor stores, until Ctrl-C.

    CLASS is a subclass of app.sources.actor.StreamingActor; MODULE is looked for here first. See
    "Actors" in docs/sources.md.
    """
    from app.sources.actor import StreamingActor
    from app.sources.actor.source import ActorSource
    from app.sources.loading import load_class

    address = None
    if listen is not None:
        host, _, port = listen.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65_535:
            raise click.BadParameter(
                f"{listen} is not of the form HOST:PORT", param_hint="--listen"
            )
        address = (host, int(port))
    return ActorSource(load_class(name, StreamingActor), address)
