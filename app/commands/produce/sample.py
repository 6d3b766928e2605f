"""`faust -A app produce sample`: text that is always available."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from app.commands.produce import _common as common

if TYPE_CHECKING:
    from app.sources.base import Source

__all__ = ["sample"]


@common.source
@click.option(
    "--repeat",
    type=click.IntRange(min=0),
    default=0,
    show_default="without end",
    help="Send the text N times; 0: without end.",
    metavar="N",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0),
    default=200,
    show_default=True,
    metavar="LINES_PER_S",
    help="Lines a second; 0: as fast as Kafka accepts them.",
)
def sample(*, repeat: int) -> Source:
    """Send the Python documentation that ships with the interpreter, again and again."""
    from app.sources.sample import SampleSource

    return SampleSource(repeat)
