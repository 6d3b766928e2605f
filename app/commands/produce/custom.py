"""`faust -A app produce custom`: a source of the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from app.commands.produce import _common as common

if TYPE_CHECKING:
    from app.sources.base import Source

__all__ = ["custom"]


@common.source
@click.argument("name", metavar="MODULE:CLASS")
@click.argument("arguments", nargs=-1, metavar="[ARGUMENT]…")
@common.buffered("name")
@common.rate
def custom(name: str, arguments: tuple[str, ...]) -> Source:
    """Send the lines of a source of your own.

    CLASS is a subclass of app.sources.base.Source, made of the ARGUMENTs, as text; MODULE is looked
    for here first. See "A source of your own" in docs/sources.md.
    """
    from app.sources import base
    from app.sources.loading import load_class, make

    abstract: Any = base.Source
    made: Source = make(load_class(name, abstract), arguments)
    return made
