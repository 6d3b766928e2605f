"""`faust -A app produce flume`: events of Flume's Thrift sinks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from app import parsers
from app.commands.parsed import Parsed
from app.commands.produce import _common as common

if TYPE_CHECKING:
    from app.sources.base import Source

__all__ = ["flume"]

_PORT = 4141


@common.source
@click.option(
    "--listen",
    type=Parsed("HOST:PORT", parsers.address(_PORT)),
    default=f"127.0.0.1:{_PORT}",
    show_default=True,
    help="Address for Flume's Thrift sinks to connect to.",
)
@click.option(
    "--connections",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="N",
    help="Most connections at once; further ones are refused.",
)
@click.option(
    "--max-frame",
    type=Parsed("SIZE", parsers.size),
    default="16MiB",
    show_default=True,
    help="Longest call; a longer one closes its connection.",
)
def flume(*, listen: tuple[str, int], connections: int, max_frame: int) -> Source:
    """Receive events of Apache Flume, as the Thrift source for its Thrift sinks.

    A body is a line (or several), headers become Kafka headers, the header timestamp is the event
    time. The answer to a call is OK once Kafka has its events. Without it, Flume sends them again:
    none is lost, and after a failure some can come twice.
    """
    from app.sources.flume.source import FlumeSource

    host, port = listen
    return FlumeSource(host.strip("[]"), port, connections=connections, frame_bytes=max_frame)
