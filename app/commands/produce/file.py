"""`faust -A app produce file`: files, also growing ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.commands.produce import _common as common

if TYPE_CHECKING:
    from app.sources.base import Source

__all__ = ["file"]


@common.source
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH…")
@click.option("--follow", is_flag=True, help="Wait for new lines in them, as tail -F does.")
@click.option(
    "--repeat",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Send them N times; 0: without end.",
    metavar="N",
)
@click.option(
    "--resume", is_flag=True, help="Skip the lines that an earlier --resume run delivered."
)
@common.rate
def file(paths: tuple[Path, ...], *, follow: bool, repeat: int, resume: bool) -> Source:
    """Send the lines of files, one file after the other.

    Files that end in .gz, .bz2, .xz or .zst are decompressed; named pipes are read to their end.
    When restarted, --follow resumes where it ended; so does --resume, also in files that have grown
    since. Both deliver each line exactly once, whichever process is killed. A last line without a
    newline is sent as it is; --resume leaves it for the next run if it was written within 5 s.
    """
    from app.sources.files.file import FileSource
    from app.sources.files.follow import FollowSource

    if not follow:
        if resume and repeat != 1:
            raise click.UsageError("--resume sends every line once; leave out --repeat or --resume")
        return FileSource(paths, repeat, resume=resume)
    if repeat != 1:
        raise click.UsageError("--follow has no end; leave out --repeat or --follow")
    return FollowSource(paths)
