"""Event time: which windows hold a timestamp, which are final or expired, and their key bytes.

All times are milliseconds since the epoch. A window is named by its start and holds the timestamps
from there up to, not including, its end; starts are multiples of the step, before 1970 too.

The watermark of a partition of lines is its newest timestamp so far, in offset order. A window is
final for that partition once the watermark has passed the window's end by the grace. A line counts
in those of its windows that are not final; it is late where all of them are. Each line is assigned
by the lines before it alone, so the cut of lines into blocks makes no difference.

A line whose timestamp lies further ahead of the wall clock than `future_ms` counts in its window
but moves no watermark: one wrong clock must not make every other line late. A line that is read
again meets another wall clock. That does no harm, since the watermark is committed with the offset:
a line is assigned again only if nothing of its first assignment was kept.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NO_WATERMARK", "WindowAssignment", "Windows"]

NO_WATERMARK = -(1 << 63)
"""The watermark before the first line."""

_LIMIT = 1 << 62
"""Timestamps are held within this of the epoch, 146 million years, so that no sum overflows."""

_TEN_MINUTES = 600_000
_PREFIX = struct.Struct(">Q")
_SIGN = 1 << 63

_Value = TypeVar("_Value")
Times = NDArray[np.int64]
Places = NDArray[np.intp]


class WindowAssignment(NamedTuple):
    """The assignment of a block's lines to windows.

    `windows` are (start, places) in order of start. Places are the ascending indexes of the lines
    that count in that window, or None where all lines do. `late` are the ascending indexes of the
    late lines, `watermark` (ms) is that after the block.
    """

    windows: list[tuple[int, Places | None]]
    late: Places
    watermark: int

    @staticmethod
    def select(values: Sequence[_Value], places: Places | None) -> Sequence[_Value]:
        """Return the values at these places; None returns all, without a copy."""
        return values if places is None else [values[place] for place in places.tolist()]


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of `window_ms` that start each `step_ms` (None: each `window_ms`).

    With `window_ms` None there is one endless window: it starts at 0, holds every timestamp, is
    never final and never expires. `grace_ms` and `retention_ms` count from a window's end. Raises
    ValueError for lengths that are not positive, and for a step longer than the window.
    """

    window_ms: int | None
    step_ms: int | None
    grace_ms: int
    retention_ms: int

    def __post_init__(self) -> None:
        if self.window_ms is not None and not 0 < self.hop_ms <= self.window_ms:
            raise ValueError("a window and its step must be positive, the step not the longer")

    @property
    def hop_ms(self) -> int:
        """Time from one window's start to the next; 0 with one endless window."""
        return self.step_ms or self.window_ms or 0

    @property
    def open_windows(self) -> int:
        """Number of windows that are open to lines at a time."""
        if self.window_ms is None:
            return 1
        return -(-(self.window_ms + self.grace_ms) // self.hop_ms)

    @property
    def future_ms(self) -> int:
        """How far ahead of the wall clock a line may be and still move the watermark."""
        return max(self.window_ms or 0, self.grace_ms, _TEN_MINUTES)

    def starts_of(self, timestamp_ms: int) -> list[int]:
        """Starts of the windows that hold a timestamp, ascending; several where windows hop."""
        return list(self._starts(timestamp_ms))

    def end_of(self, start: int) -> int | None:
        """End of a window (exclusive); None for the endless window."""
        return None if self.window_ms is None else start + self.window_ms

    def is_final(self, start: int, watermark: int) -> bool:
        """Whether no more lines can count in a window, of a partition with this watermark."""
        return self.window_ms is not None and watermark >= start + self.window_ms + self.grace_ms

    def expired_before(self, now_ms: int) -> int:
        """Bound below which window starts are past retention: end + retention ≤ `now_ms`.

        Pass a watermark as `now_ms` where old lines are read again: the wall clock is far ahead.
        """
        if self.window_ms is None:
            return NO_WATERMARK
        return max(now_ms - self.window_ms - self.retention_ms + 1, NO_WATERMARK)

    def assign(self, timestamps: Times, watermark: int, now_ms: int) -> WindowAssignment:
        """Assign the lines of a block to windows by their timestamps, which are in offset order.

        `watermark` is that of the partition before the block, `now_ms` the wall clock. Costs next
        to nothing where all lines are in the same windows.
        """
        if not len(timestamps):
            return WindowAssignment([], np.empty(0, np.intp), watermark)
        low, high = int(timestamps.min()), int(timestamps.max())
        if low < -_LIMIT or high > _LIMIT:
            return self.assign(np.clip(timestamps, -_LIMIT, _LIMIT), watermark, now_ms)
        bound = now_ms + self.future_ms
        starts = self._starts(low)
        if starts == self._starts(high):
            # All lines share their windows. A line can't make a window final that holds it, so
            # only the watermark before the block decides, and no line needs a look of its own.
            newest = high
            if high > bound:
                newest = int(timestamps.max(initial=NO_WATERMARK, where=timestamps <= bound))
            windows = [(start, None) for start in starts if not self.is_final(start, watermark)]
            late = np.arange(0 if windows else len(timestamps), dtype=np.intp)
            return WindowAssignment(list(windows), late, max(watermark, newest))
        # The watermark at each line is the running maximum of the timestamps up to it, so that one
        # pass of numpy assigns all lines as a loop over them would.
        moving = np.where(timestamps <= bound, timestamps, NO_WATERMARK)
        watermarks = np.maximum(np.maximum.accumulate(moving), watermark)
        assigned, late = self._assign_each(timestamps, watermarks)
        return WindowAssignment(assigned, late, int(watermarks[-1]))

    def _starts(self, timestamp_ms: int) -> range:
        if self.window_ms is None:
            return range(1)
        # A window holds the time if time - window < start ≤ time. The starts are the multiples of
        # the step in there; floor division finds the first one before 1970 too.
        time, step = max(-_LIMIT, min(timestamp_ms, _LIMIT)), self.hop_ms
        return range(((time - self.window_ms) // step + 1) * step, time + 1, step)

    def _assign_each(
        self, timestamps: Times, watermarks: Times
    ) -> tuple[list[tuple[int, Places | None]], Places]:
        # A timestamp is in the newest window that starts at or before it, and in those up to one
        # window length back. For each step back, one comparison finds all lines that count there.
        window, step = self.window_ms or 0, self.hop_ms
        newest = timestamps - timestamps % step
        late = np.ones(len(timestamps), np.bool_)
        starts, places = [], []
        for back in range(0, window, step):
            start = newest - back
            counts = (start + window > timestamps) & (start + (window + self.grace_ms) > watermarks)
            late &= ~counts
            places.append(np.flatnonzero(counts))
            starts.append(start[counts])
        grouped = _grouped(np.concatenate(starts), np.concatenate(places))
        return (
            [(s, None if len(at) == len(timestamps) else at) for s, at in grouped],
            np.flatnonzero(late),
        )

    # Keys of rows: the start, big-endian with its sign bit flipped, then the word. Keys sort as
    # (start, UTF-8 of the word) do, so the rows of a window are one range.

    @staticmethod
    def prefix(start: int) -> bytes:
        """First 8 bytes of the keys of a window."""
        return _PREFIX.pack(start + _SIGN)

    @staticmethod
    def start_of(key: bytes) -> int:
        """Window start of a key or of a prefix."""
        start: int = _PREFIX.unpack_from(key)[0]
        return start - _SIGN

    @staticmethod
    def key(start: int, word: bytes) -> bytes:
        """Key of a word (UTF-8) in a window."""
        return _PREFIX.pack(start + _SIGN) + word

    @staticmethod
    def keys(start: int, words: Any) -> list[bytes]:
        """Keys of words, a pyarrow string or binary array, in a window."""
        kind = pa.large_binary() if _is_large(words) else pa.binary()
        prefix = pa.scalar(Windows.prefix(start), kind)
        joined = pc.binary_join_element_wise(prefix, words.cast(kind), pa.scalar(b"", kind))
        keys: list[bytes] = joined.to_pylist()
        return keys

    @staticmethod
    def keys_of(starts: Sequence[int], window_of: Places, words: Any) -> list[bytes]:
        """Keys of words in several windows; `window_of` is each word's place among `starts`."""
        kind = pa.large_binary() if _is_large(words) else pa.binary()
        prefixes = pa.array([Windows.prefix(start) for start in starts], kind)
        joined = pc.binary_join_element_wise(
            prefixes.take(pa.array(window_of)), words.cast(kind), pa.scalar(b"", kind)
        )
        keys: list[bytes] = joined.to_pylist()
        return keys


def _is_large(words: Any) -> bool:
    return words.type in (pa.large_string(), pa.large_binary())


def _grouped(starts: Times, places: Places) -> list[tuple[int, Places]]:
    """Group places by start, both ascending."""
    # A stable sort keeps the order of places within a start; then a group ends where the start
    # changes.
    order = np.argsort(starts, kind="stable")
    starts, places = starts[order], places[order]
    cuts = np.flatnonzero(np.diff(starts)) + 1
    firsts = starts[np.concatenate(([0], cuts))].tolist() if len(starts) else []
    groups = np.split(places, cuts)
    return [(s, np.sort(at, kind="stable")) for s, at in zip(firsts, groups, strict=False)]
