"""`faust -A app produce zeromq`: messages of ZeroMQ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.commands.produce import _common as common

if TYPE_CHECKING:
    from app.sources.base import Source

__all__ = ["zeromq"]

_FILE = click.Path(path_type=Path)


@common.source
@click.argument("endpoint")
@click.option("--pull", is_flag=True, help="Take from a PUSH socket [default: subscribe to a PUB].")
@click.option(
    "--bind", is_flag=True, help="Let peers connect to ENDPOINT [default: connect to it]."
)
@click.option(
    "--subscribe", multiple=True, metavar="PREFIX", help="Messages that begin so; may be repeated."
)
@click.option(
    "--skip",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Leave out the first N frames of each message.",
)
@click.option("--key", type=_FILE, help="Our CURVE keys: a .key_secret file of zmq.auth.")
@click.option("--server-key", type=_FILE, help="The server's public CURVE key, where we connect.")
@click.option("--clients", type=_FILE, help="Directory of clients' public keys, where we bind.")
@common.buffered("endpoint")
@common.rate
def zeromq(
    endpoint: str,
    *,
    pull: bool,
    bind: bool,
    subscribe: tuple[str, ...],
    skip: int,
    key: Path | None,
    server_key: Path | None,
    clients: Path | None,
) -> Source:
    """Send the frames of ZeroMQ messages from ENDPOINT (tcp://HOST:PORT), until Ctrl-C.

    Each frame is a line; one with newlines in it is several.
    """
    from app.sources.zeromq import Keys, ZeroMQSource

    if pull and subscribe:
        raise click.UsageError("--subscribe goes with publishers, not with --pull")
    if (server_key or clients) and not key:
        raise click.UsageError("--server-key and --clients need --key")
    if key and bind == bool(server_key):
        raise click.UsageError("--key needs --server-key to connect, and goes without it to --bind")
    return ZeroMQSource(
        endpoint,
        pull=pull,
        bind=bind,
        prefixes=subscribe,
        skip=skip,
        keys=Keys(key, server_key, clients) if key else None,
    )
