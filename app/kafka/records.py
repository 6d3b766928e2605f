"""Records as columns: an object for each record would cost more than counting its words."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Records"]

_OFFSET, _TIMESTAMP = attrgetter("offset"), attrgetter("timestamp")
_KEY, _VALUE, _HEADERS = attrgetter("key"), attrgetter("value"), attrgetter("headers")

_OVERHEAD_BYTES = 100
"""Memory of a record besides its key and value: its places in the columns, a bytes object."""


@dataclass(slots=True, weakref_slot=True)
class Records:
    """Records of one partition in order, as columns of one length.

    `offsets` and `timestamps` (ms) are int64; keys and values are bytes or None; `headers` are
    those of the records that have any, by place in the columns.
    """

    offsets: NDArray[np.int64]
    timestamps: NDArray[np.int64]
    keys: list[Any]
    values: list[Any]
    headers: dict[int, Sequence[tuple[str, bytes]]]

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def of(cls, records: Sequence[Any]) -> Records:
        """Return the columns of record objects."""
        return cls(
            np.fromiter(map(_OFFSET, records), np.int64, len(records)),
            np.fromiter(map(_TIMESTAMP, records), np.int64, len(records)),
            list(map(_KEY, records)),
            list(map(_VALUE, records)),
            {place: headers for place, headers in enumerate(map(_HEADERS, records)) if headers},
        )

    @classmethod
    def join(cls, parts: Sequence[Records]) -> Records:
        """Join several parts, one after the other."""
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls.of(())
        # Headers are kept by place, so the places of a part move by the records before it.
        begins = np.cumsum([0, *map(len, parts)]).tolist()
        return cls(
            np.concatenate([part.offsets for part in parts]),
            np.concatenate([part.timestamps for part in parts]),
            [key for part in parts for key in part.keys],
            [value for part in parts for value in part.values],
            {
                begin + place: headers
                for begin, part in zip(begins, parts, strict=False)
                for place, headers in part.headers.items()
            },
        )

    @property
    def size(self) -> int:
        """The approximate size of the records in memory, in bytes."""
        texts = sum(map(len, filter(None, [*self.values, *self.keys])))
        headers = sum(
            len(name) + len(text or b"") for own in self.headers.values() for name, text in own
        )
        return texts + headers + _OVERHEAD_BYTES * len(self)

    def since(self, offset: int) -> Records:
        """Return the records from `offset` on."""
        if not len(self) or self.offsets[0] >= offset:
            return self
        # Offsets ascend, so a binary search finds the first record.
        return self.select(range(int(np.searchsorted(self.offsets, offset)), len(self)))

    def select(self, places: Sequence[int]) -> Records:
        """Return the records at `places`, in that order."""
        found = list(places)
        return Records(
            self.offsets[found],
            self.timestamps[found],
            [self.keys[place] for place in found],
            [self.values[place] for place in found],
            {
                at: self.headers[place]
                for at, place in enumerate(found if self.headers else ())
                if place in self.headers
            },
        )
