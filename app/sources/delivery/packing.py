"""From batches to messages: many lines share a message under load, a slow line has its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from app.sources.line_splitter import LONGEST, cut_long

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.sources.base import Batch, Headers

__all__ = ["PACKED", "Message", "Packer"]

PACKED = 32 << 10
"""Bytes of lines that fill a message; a longer line is a message of its own."""


class Message(NamedTuple):
    """Lines that go to Kafka as one record."""

    value: bytes
    lines: int
    timestamp_ms: int
    position: object
    """Resume position of the newest batch that ends in this message; None: no batch ends in it."""
    headers: Headers = ()
    """Kafka headers."""
    partition_key: int | None = None
    """Messages of one key go to one partition; None: the partition does not matter."""

    @property
    def empty(self) -> bool:
        """Whether it only carries a position behind the lines before it, and needs no sending."""
        return not self.value and not self.lines


class _Piece(NamedTuple):
    text: bytes
    lines: int
    alone: bool = False


class Packer:
    r"""Packs lines into messages of about `size` bytes, with b"\n" between them.

    Lines of different explicit event times, headers or partition keys never share a message. A
    line that is not UTF-8 is a message of its own, since a worker rejects whole messages. No
    message is longer than `limit`.
    """

    def __init__(self, *, size: int = PACKED, limit: int = LONGEST) -> None:
        self._size = min(size, limit)
        self.limit = limit
        """Most bytes of a message."""
        self._texts: list[bytes] = []
        self._bytes = 0
        self._lines = 0
        self._explicit: int | None = None
        self._headers: Headers = ()
        self._partition_key: int | None = None
        self._timestamp_ms = 0
        self._position: object = None
        self.refused = 0
        """Words that were skipped because each is longer than a message may be."""

    @property
    def waiting(self) -> bool:
        """Whether lines wait for others to fill their message."""
        return bool(self._texts)

    def add(self, batch: Batch, now_ms: int) -> Iterator[Message]:
        """Yield the messages that `batch`, read at `now_ms`, fills; keep the rest of its lines."""
        self.refused += batch.refused
        if not batch.text and not batch.lines:
            yield from self._position_alone(batch.position, now_ms)
            return
        if (batch.timestamp_ms, batch.headers, batch.partition_key) != self._shared:
            yield from self.flush()
        pieces = list(self._pieces(batch.text))
        # A source may count in its own way: parts of a line, or lines with newlines in them. Then
        # the last piece carries the whole count, so that no line counts before all of it is sent.
        own_count = batch.lines != sum(piece.lines for piece in pieces)
        last = pieces[-1]
        for piece in pieces:
            # Send the message before a piece that it has no space for, and after one that fills it.
            if piece.alone or self._bytes + len(piece.text) > self._size:
                yield from self.flush()
            if not self._texts:
                self._explicit = batch.timestamp_ms
                self._headers = batch.headers
                self._partition_key = batch.partition_key
                self._timestamp_ms = now_ms if batch.timestamp_ms is None else batch.timestamp_ms
            self._texts.append(piece.text)
            self._bytes += len(piece.text) + 1
            self._lines += (batch.lines if piece is last else 0) if own_count else piece.lines
            if piece is last and batch.position is not None:
                self._position = batch.position
            if piece.alone or self._bytes > self._size:
                yield from self.flush()

    def _position_alone(self, position: object, now_ms: int) -> Iterator[Message]:
        if position is not None and self._texts:
            self._position = position
        elif position is not None:
            yield Message(b"", 0, now_ms, position)

    def flush(self) -> Iterator[Message]:
        """Yield the message that waits, if there is one."""
        if self._texts:
            value = b"\n".join(self._texts)
            message = Message(
                value,
                self._lines,
                self._timestamp_ms,
                self._position,
                self._headers,
                self._partition_key,
            )
            self._texts, self._bytes, self._lines, self._position = [], 0, 0, None
            yield message

    @property
    def _shared(self) -> tuple[int | None, Headers, int | None]:
        return self._explicit, self._headers, self._partition_key

    def _pieces(self, text: bytes) -> Iterator[_Piece]:
        for block in self._blocks(text):
            if len(block) > self._size:
                yield from self._long_line(block)
            elif _is_utf8(block):
                yield _Piece(block, block.count(b"\n") + 1)
            else:
                yield from _apart(block)

    def _blocks(self, text: bytes) -> Iterator[bytes]:
        """Cut at newlines into blocks that fit a message; a longer line is a block of its own."""
        start = 0
        while len(text) - start > self._size:
            # The last newline that leaves at most `size` bytes before it; otherwise the line is
            # longer, and its own newline ends the block.
            end = text.rfind(b"\n", start, start + self._size + 1)
            if end < 0:
                end = text.find(b"\n", start + self._size)
            if end < 0:
                break
            yield text[start:end]
            start = end + 1
        yield text[start:]

    def _long_line(self, line: bytes) -> Iterator[_Piece]:
        parts, refused = cut_long(line, self.limit)
        self.refused += refused
        for part in parts[:-1]:
            yield _Piece(part, 0, alone=True)
        yield _Piece(parts[-1] if parts else b"", 1, alone=True)


def _apart(block: bytes) -> Iterator[_Piece]:
    for line in block.split(b"\n"):
        yield _Piece(line, 1, alone=not _is_utf8(line))


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
