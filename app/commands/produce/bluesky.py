"""`faust -A app produce bluesky`: public posts as they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from app.commands.produce import _common as common

if TYPE_CHECKING:
    from app.sources.base import Source

__all__ = ["bluesky"]


@common.source
@click.option(
    "--endpoint",
    default="wss://jetstream2.us-east.bsky.network/subscribe",
    show_default=True,
    metavar="URL",
    help="The Jetstream server; each keeps a cursor of its own.",
)
@common.rate
def bluesky(*, endpoint: str) -> Source:
    """Send the posts of the Bluesky network, of all languages, as they are written.

    Needs no account. When restarted, it resumes behind the last post that was delivered, as far
    back as the server keeps posts (a day or more).
    """
    from app.sources.bluesky import BlueskySource

    return BlueskySource(endpoint)
