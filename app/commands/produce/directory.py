"""`faust -A app produce directory`: files that appear in a directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.commands.produce import _common as common

if TYPE_CHECKING:
    from app.sources.base import Source

__all__ = ["directory"]


@common.source
@click.argument("path", type=click.Path(path_type=Path), metavar="DIR")
@common.rate
def directory(path: Path) -> Source:
    """Send the lines of the files in DIR, and of those that are moved into it, until Ctrl-C.

    Each file is sent once, the oldest first; .gz, .bz2, .xz and .zst are decompressed. Names that
    begin with a dot or end in .tmp, .temp, .part, .partial, .swp, .crdownload, ._COPYING_ or ~ are
    skipped. A last line without a newline is sent once nothing was written to its file for 5 s.
    When restarted, the producer resumes where it ended.
    """
    from app.sources.files.directory import DirectorySource

    return DirectorySource(path)
