"""`faust -A app produce x`: posts of X that match rules."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.commands.produce import _common as common
from app.errors import ConfigurationError
from app.sources.base import Source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from app.sources.base import Batch

__all__ = ["x"]

_VARIABLE = "X_BEARER_TOKEN"


@common.source
@click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="RULE",
    help="Bring posts that match this; added to the stream's rules. May be given again.",
)
@click.option(
    "--delete-rule",
    "deleted",
    multiple=True,
    metavar="ID",
    help="Delete a rule of the stream. May be given again.",
)
@click.option("--rules", "listing", is_flag=True, help="Print the stream's rules, and end.")
@click.option(
    "--backfill",
    type=click.IntRange(0, 5),
    default=0,
    show_default=True,
    metavar="MINUTES",
    help="On connecting, bring what was missed in the last minutes, where the account may.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help=f"File that holds the bearer token [default: ${_VARIABLE}].",
)
@click.option(
    "--endpoint",
    default="https://api.x.com",
    show_default=True,
    metavar="URL",
    help="The API's server.",
)
@common.buffered("endpoint")
def x(
    *,
    rules: tuple[str, ...],
    deleted: tuple[str, ...],
    listing: bool,
    backfill: int,
    token_file: Path | None,
    endpoint: str,
) -> Source:
    """Send the posts of X that match the rules of your filtered stream.

    Needs a bearer token of X's API v2, in X_BEARER_TOKEN or a file. Rules stay with the token
    from run to run.
    """
    from app.sources.x.source import XSource

    token = _token(token_file)
    if listing:
        return _Listing(token, endpoint, rules, deleted)
    return XSource(token, endpoint=endpoint, add=rules, delete=deleted, backfill_minutes=backfill)


def _token(path: Path | None) -> str:
    try:
        text = path.read_text(encoding="ascii") if path else os.environ.get(_VARIABLE, "")
    except (OSError, UnicodeDecodeError):
        text = ""
    token = text.strip()
    # Not shown, whatever it is.
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        place = str(path) if path else _VARIABLE
        raise ConfigurationError(f"{place} holds no bearer token; get one at developer.x.com")
    return token


class _Listing(Source):
    """Prints the rules instead of sending anything."""

    def __init__(
        self, token: str, endpoint: str, add: Sequence[str], delete: Sequence[str]
    ) -> None:
        super().__init__()
        self._token, self._endpoint = token, endpoint
        self._add, self._delete = add, delete

    async def open(self) -> None:
        """Change, then print the rules, and end the command."""
        from app.sources.x.rules import Rules
        from app.sources.x.source import session

        async with session(self._token, self._endpoint) as asked:
            rules = Rules(asked)
            await rules.delete(self._delete)
            await rules.add(self._add)
            for rule in await rules.all():
                tag = f" ({rule.tag})" if rule.tag else ""
                click.echo(f"{rule.id} {rule.value}{tag}")
        raise click.exceptions.Exit(0)

    async def batches(self) -> AsyncIterator[Batch]:
        """Nothing: `open` has ended the command."""
        nothing: list[Batch] = []
        for batch in nothing:
            yield batch
