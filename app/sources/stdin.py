"""Standard input, be it a pipe, a file or a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from app.errors import ConfigurationError
from app.sources.base import Batch, Source, SourceError
from app.sources.descriptor import read_chunks
from app.sources.line_splitter import LineCutter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["StdinSource"]


class StdinSource(Source):
    """The lines of standard input, or of another descriptor, until its end.

    When stopped, a line that has begun is yielded as it is: nobody else can read it any more.
    """

    replayable = False

    def __init__(self, descriptor: int | None = None) -> None:
        super().__init__()
        self._descriptor = descriptor

    async def open(self) -> None:
        """Find standard input."""
        if self._descriptor is None:
            if sys.stdin is None or sys.stdin.closed:
                raise ConfigurationError("stdin is closed; pipe lines into this command")
            self._descriptor = sys.stdin.fileno()

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield lines as they come."""
        assert self._descriptor is not None, "open comes first"  # noqa: S101 - for mypy
        cutter = LineCutter()
        try:
            async for chunk in read_chunks(self._descriptor, self.stopping):
                for batch in cutter.feed(chunk):
                    yield batch
        except OSError as error:
            raise SourceError(f"stdin can't be read any more: {error.strerror}") from None
        for batch in cutter.finish():
            yield batch
