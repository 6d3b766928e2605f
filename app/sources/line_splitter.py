"""From chunks of bytes to whole lines; a very long line is cut between its words."""

from __future__ import annotations

import re
from typing import NamedTuple

from app.sources.base import Batch

__all__ = ["LONGEST", "LineCutter", "cut_long"]

LONGEST = 1_000_000
"""Most bytes of text in a message: Kafka's default max.message.bytes is 1 MiB with overhead."""

# The characters that str.split() splits on, as UTF-8. UTF-8 is self-synchronising, so a match
# never lies inside another character.
_SPACE = re.compile(
    rb"[\t-\r\x1c-\x20]|\xc2[\x85\xa0]|\xe1\x9a\x80"
    rb"|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80"
)
_LONGEST_SPACE = 3


class _Cut(NamedTuple):
    parts: list[bytes]
    rest: bytes
    refused: int
    within_word: bool
    """Whether `rest` belongs to a refused word that may continue."""


def cut_long(line: bytes, limit: int) -> tuple[list[bytes], int]:
    """Cut a line between words into parts of at most `limit` bytes.

    Returns the parts, and the number of words that were skipped because each is longer.
    """
    cut = _cut(line, limit, limit)
    return (cut.parts if cut.within_word else [*cut.parts, cut.rest]), cut.refused


def _cut(line: bytes, limit: int, enough: int) -> _Cut:
    """Cut off parts of at most `limit` bytes until no more than `enough` bytes are left."""
    parts = []
    refused = 0
    while len(line) > enough:
        space = _last_space(line, limit)
        if space is not None:
            if space.start() > 0:
                parts.append(line[: space.start()])
            line = line[space.end() :]
            continue
        refused += 1
        end = _SPACE.search(line, limit)
        if end is None:
            return _Cut(parts, line, refused, within_word=True)
        line = line[end.end() :]
    return _Cut(parts, line, refused, within_word=False)


def _last_space(line: bytes, limit: int) -> re.Match[bytes] | None:
    """The last space that starts within `limit` bytes."""
    end = limit + _LONGEST_SPACE
    for width in (1 << 10, 1 << 16, end):
        spaces = _SPACE.finditer(line, max(0, end - width), end)
        fitting = [space for space in spaces if space.start() <= limit]
        if fitting:
            return fitting[-1]
    return None


class LineCutter:
    """Makes batches of whole lines from chunks that end anywhere.

    Holds at most `limit` bytes and a chunk. A longer line comes in several batches, cut between
    words; a single word longer than `limit` is skipped and counted in `Batch.refused`.
    """

    def __init__(self, limit: int = LONGEST) -> None:
        self._limit = limit
        self._held = b""
        self._begun = False
        self._dropped = 0

    @property
    def pending(self) -> int:
        """Bytes fed that no batch covers yet: a resume position lies this far before the end."""
        return len(self._held) + self._dropped

    @property
    def within_line(self) -> bool:
        """Whether a line has begun and no newline has ended it yet."""
        return bool(self._held) or self._begun

    def feed(self, chunk: bytes) -> list[Batch]:
        """Add the next chunk; return the batches that it completes."""
        data = self._held + chunk
        if self._dropped:
            space = _SPACE.search(data)
            if space is None:
                self._drop(data)
                return []
            data = data[space.start() :]
            self._dropped = 0
        batches = []
        end = data.rfind(b"\n")
        if end >= 0:
            whole, data = data[:end], data[end + 1 :]
            batches.append(Batch(whole, whole.count(b"\n") + 1))
            self._begun = False
        # A space at the very end may lack its last bytes: leave room for them.
        cut = _cut(data, self._limit, self._limit + _LONGEST_SPACE)
        batches += [Batch(part, 0) for part in cut.parts]
        if cut.refused:
            batches.append(Batch(b"", 0, refused=cut.refused))
        self._begun = self._begun or bool(cut.parts or cut.refused)
        self._held = cut.rest
        if cut.within_word:
            self._drop(cut.rest)
        return batches

    def finish(self) -> list[Batch]:
        """Return the rest at the end of the input: a last line without a newline is a line too."""
        batches = []
        if self.within_line:
            batches = [Batch(b"" if self._dropped else self._held, 1)]
        self._held, self._begun, self._dropped = b"", False, 0
        return batches

    def _drop(self, data: bytes) -> None:
        # Keep the last bytes: a space may lie across the border of two chunks.
        self._held = data[1 - _LONGEST_SPACE :]
        self._dropped += len(data) - len(self._held)
