"""What stands around a place in a text: enough to know the text again by."""

from __future__ import annotations

import hashlib

__all__ = ["HEAD", "TAIL", "Fingerprint"]

HEAD = 1024
"""Bytes of a text's beginning that it is known by."""

TAIL = 256
"""Bytes before a place that it is known by."""


class Fingerprint:
    """Goes along with a reader, and tells a fingerprint of what is read up to a place.

    Two files that begin alike differ in it, and so does one that was emptied and written anew.
    """

    def __init__(self, head: bytes = b"", recent: bytes = b"") -> None:
        self.head = head
        """The beginning of the text, as far as it was read."""
        self._recent = recent

    def feed(self, chunk: bytes, pending: int = 0) -> None:
        """The next chunk was read; places of interest lie up to `pending` bytes before its end."""
        if len(self.head) < HEAD:
            self.head += chunk[: HEAD - len(self.head)]
        self._recent = (self._recent + chunk)[-(pending + TAIL) :]

    @property
    def tail(self) -> bytes:
        """The last bytes that were read."""
        return self._recent[-TAIL:]

    def fingerprint(self, offset: int, pending: int = 0) -> str:
        """That of the place at `offset`, which lies `pending` bytes back."""
        before = self._recent[: len(self._recent) - pending][-TAIL:]
        digest = hashlib.blake2b(digest_size=16)
        digest.update(self.head[:offset])
        digest.update(before)
        return digest.hexdigest()
