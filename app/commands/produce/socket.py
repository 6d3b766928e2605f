"""`faust -A app produce socket`: lines over TCP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from app.commands.produce import _common as common

if TYPE_CHECKING:
    from app.sources.base import Source

__all__ = ["socket"]


@common.source
@click.argument("host")
@click.argument("port", type=click.IntRange(0, 65_535))
@click.option("--listen", is_flag=True, help="Wait for clients on HOST and PORT (0: a free one).")
@click.option(
    "--connections",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="Clients that are read at a time; others wait.",
)
@common.buffered("host", "port", "listen")
@common.rate
def socket(host: str, port: int, *, listen: bool, connections: int) -> Source:
    """Connect to HOST and PORT and send the lines that come from there, until Ctrl-C.

    A server that is away, refuses or closes is connected to again, after 0.1 s to 15 s. When a
    connection closes in the middle of a line, what had come of it counts as a line.
    """
    from app.sources.tcp.client import SocketSource
    from app.sources.tcp.server import ListeningSource

    if listen:
        return ListeningSource(host, port, connections)
    if port == 0:
        raise click.BadParameter("0 goes with --listen", param_hint="PORT")
    return SocketSource(host, port)
