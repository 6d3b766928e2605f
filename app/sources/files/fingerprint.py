"""Fingerprints of text before an offset, to recognise a file after a restart."""

from __future__ import annotations

import hashlib

__all__ = ["HEAD", "TAIL", "Fingerprint"]

HEAD = 1024
"""Bytes at the beginning of a text that the fingerprint covers."""

TAIL = 256
"""Bytes before an offset that the fingerprint covers."""


class Fingerprint:
    """Collects the bytes that identify a text while a reader passes through it.

    The end of the text before the offset is part of it, since many files begin alike: logs of one
    program, or a file that was emptied and written again.
    """

    def __init__(self, head: bytes = b"") -> None:
        self.head = head
        """The beginning of the text, as far as it was read."""
        self._recent = b""

    def feed(self, chunk: bytes, pending: int = 0) -> None:
        """Add the next chunk; `digest` works for offsets up to `pending` bytes before its end."""
        if len(self.head) < HEAD:
            self.head += chunk[: HEAD - len(self.head)]
        self._recent = (self._recent + chunk)[-(pending + TAIL) :]

    @property
    def tail(self) -> bytes:
        """The last bytes that were read."""
        return self._recent[-TAIL:]

    def digest(self, offset: int, pending: int = 0) -> str:
        """Return the fingerprint at `offset`, `pending` bytes before the end of the text."""
        before = self._recent[: len(self._recent) - pending][-TAIL:]
        digest = hashlib.blake2b(digest_size=16)
        digest.update(self.head[:offset])
        digest.update(before)
        return digest.hexdigest()
