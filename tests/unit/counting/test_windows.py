"""Windows, lateness, expiry and the keys of rows."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.counting.windows import NO_WATERMARK, WindowAssignment, Windows

MINUTE = 60_000
NOW = 1_700_000_000_000

small = st.integers(-400, 400)
"""Timestamps that share windows with each other."""

hopping = st.integers(1, 60).flatmap(
    lambda window: st.builds(
        Windows,
        st.just(window),
        st.one_of(st.none(), st.integers(1, window)),
        st.integers(0, 100),
        st.just(1000),
    )
)


def assigned_one_by_one(
    windows: Windows, timestamps: list[int], watermark: int, now: int
) -> tuple[dict[int, list[int]], list[int], int]:
    counting: dict[int, list[int]] = {}
    late = []
    for place, timestamp in enumerate(timestamps):
        if timestamp <= now + windows.future_ms:
            watermark = max(watermark, timestamp)
        open_starts = [
            s for s in windows.starts_of(timestamp) if not windows.is_final(s, watermark)
        ]
        for start in open_starts:
            counting.setdefault(start, []).append(place)
        if not open_starts:
            late.append(place)
    return counting, late, watermark


def plain(assignment: WindowAssignment, lines: int) -> tuple[dict[int, list[int]], list[int], int]:
    assert [start for start, _ in assignment.windows] == sorted(
        start for start, _ in assignment.windows
    )
    counting = {
        start: list(assignment.select(range(lines), places)) for start, places in assignment.windows
    }
    return counting, assignment.late.tolist(), assignment.watermark


def array(timestamps: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(timestamps, np.int64)


class TestStarts:
    """The windows that hold a timestamp."""

    @pytest.mark.parametrize(
        ("timestamp", "start"),
        [(0, 0), (59_999, 0), (60_000, 60_000), (-1, -60_000), (-60_000, -60_000)],
    )
    def test_tumbling_windows_are_aligned_to_the_epoch(self, timestamp: int, start: int) -> None:
        """A timestamp is in one window, which starts at a multiple of its length, negative too."""
        assert Windows(MINUTE, None, 0, 0).starts_of(timestamp) == [start]

    def test_hopping_windows_overlap(self) -> None:
        """A timestamp is in each window that has started and not ended, in order."""
        windows = Windows(1000, 250, 0, 0)
        assert windows.starts_of(1100) == [250, 500, 750, 1000]
        assert windows.starts_of(-1) == [-1000, -750, -500, -250]

    def test_an_uneven_step_gives_some_timestamps_more_windows(self) -> None:
        """With a step that does not divide the window, each start is still a multiple of it."""
        windows = Windows(1000, 400, 0, 0)
        assert windows.starts_of(1100) == [400, 800]
        assert windows.starts_of(1250) == [400, 800, 1200]

    @given(hopping, small)
    def test_starts_are_those_whose_windows_hold_the_timestamp(
        self, windows: Windows, timestamp: int
    ) -> None:
        """The starts are just the multiples of the step whose window holds the timestamp."""
        assert windows.starts_of(timestamp) == [
            start
            for start in range(-600 * windows.hop_ms, 600 * windows.hop_ms, windows.hop_ms)
            if start <= timestamp < (windows.end_of(start) or 0)
        ]

    def test_the_endless_window_holds_everything(self) -> None:
        """Without a length there is one window, which starts at 0 and has no end."""
        windows = Windows(None, None, MINUTE, MINUTE)
        assert windows.starts_of(-5) == windows.starts_of(NOW) == [0]
        assert windows.end_of(0) is None

    @pytest.mark.parametrize(("window", "step"), [(0, None), (-1, None), (10, 20), (10, -5)])
    def test_impossible_lengths_are_refused(self, window: int, step: int | None) -> None:
        """Windows that would miss lines, or that hold none, cannot be made."""
        with pytest.raises(ValueError, match="must be positive"):
            Windows(window, step, 0, 0)


class TestEnds:
    """The time at which a window is final, and expired."""

    def test_a_window_is_final_once_the_grace_has_passed(self) -> None:
        """The watermark makes a window final when it reaches end and grace, not before."""
        windows = Windows(MINUTE, None, 10_000, 0)
        assert not windows.is_final(0, 69_999)
        assert windows.is_final(0, 70_000)
        assert not windows.is_final(0, NO_WATERMARK)

    def test_a_window_expires_after_its_retention(self) -> None:
        """Starts below the bound are those whose end and retention lie in the past."""
        windows = Windows(MINUTE, None, 0, 1000)
        assert windows.expired_before(61_000) == 1
        assert windows.expired_before(60_999) == 0
        assert windows.expired_before(NO_WATERMARK) == NO_WATERMARK

    def test_the_endless_window_is_never_final_and_never_expires(self) -> None:
        """Running totals stay, whatever the time."""
        windows = Windows(None, None, 0, 0)
        assert not windows.is_final(0, 1 << 62)
        assert windows.expired_before(1 << 62) <= 0


class TestAssign:
    """Blocks of lines into windows and late ones."""

    @given(hopping, st.lists(small, max_size=30), st.one_of(st.just(NO_WATERMARK), small))
    def test_a_block_is_assigned_as_its_lines_one_by_one(
        self, windows: Windows, timestamps: list[int], watermark: int
    ) -> None:
        """Windows, late lines and watermark are those that each line in turn gives."""
        assignment = windows.assign(array(timestamps), watermark, NOW)
        expected = assigned_one_by_one(windows, timestamps, watermark, NOW)
        assert plain(assignment, len(timestamps)) == expected

    @given(
        hopping,
        st.lists(st.one_of(small, st.just(600_201), st.just(1 << 61)), max_size=20),
        small,
    )
    def test_lines_of_the_future_move_no_watermark(
        self, windows: Windows, timestamps: list[int], now: int
    ) -> None:
        """A line too far ahead of the clock counts in its window and makes no other line late."""
        assignment = windows.assign(array(timestamps), NO_WATERMARK, now)
        expected = assigned_one_by_one(windows, timestamps, NO_WATERMARK, now)
        assert plain(assignment, len(timestamps)) == expected
        assert assignment.watermark <= now + windows.future_ms

    @given(hopping, st.lists(small, max_size=30), st.sets(st.integers(0, 30)))
    def test_blocks_make_no_difference(
        self, windows: Windows, timestamps: list[int], cuts: set[int]
    ) -> None:
        """Any split of the lines into blocks gives the same windows, late lines and watermark."""
        whole = windows.assign(array(timestamps), NO_WATERMARK, NOW)
        watermark, late = NO_WATERMARK, list[int]()
        counting: dict[int, list[int]] = {}
        edges = sorted({0, len(timestamps), *(cut for cut in cuts if cut < len(timestamps))})
        for start, end in itertools.pairwise(edges):
            block = array(timestamps[start:end])
            assignment = windows.assign(block, watermark, NOW)
            for window, places in assignment.windows:
                counted = assignment.select(range(start, end), places)
                counting.setdefault(window, []).extend(counted)
            late.extend((assignment.late + start).tolist())
            watermark = assignment.watermark
        assert (counting, late, watermark) == plain(whole, len(timestamps))

    def test_the_usual_block_needs_no_places(self) -> None:
        """The assignment is None, for all lines, when all lines count in the same windows."""
        windows = Windows(MINUTE, 30_000, 0, 0)
        assignment = windows.assign(array([90_000, 90_001]), NO_WATERMARK, NOW)
        assert assignment.windows == [(60_000, None), (90_000, None)]
        assert assignment.select([b"a", b"b"], None) == [b"a", b"b"]

    def test_a_hopping_line_counts_in_the_windows_still_open(self) -> None:
        """A line is late only when the last of its windows is final."""
        windows = Windows(MINUTE, 30_000, 0, 0)
        assignment = windows.assign(array([100_000, 70_000, 20_000]), NO_WATERMARK, NOW)
        assert plain(assignment, 3) == ({60_000: [0, 1], 90_000: [0]}, [2], 100_000)

    def test_all_lines_of_a_block_can_be_late(self) -> None:
        """A block that is wholly behind the watermark counts nowhere."""
        windows = Windows(MINUTE, None, 0, 0)
        assert plain(windows.assign(array([1, 2]), NOW, NOW), 2) == ({}, [0, 1], NOW)

    def test_nothing_is_late_without_windows(self) -> None:
        """Running totals take lines of any age, and the watermark still moves."""
        windows = Windows(None, None, 0, 0)
        assert plain(windows.assign(array([NOW, 5]), NO_WATERMARK, NOW), 2) == (
            {0: [0, 1]},
            [],
            NOW,
        )

    def test_an_empty_block_changes_nothing(self) -> None:
        """No lines: no windows, and the watermark stays."""
        assert plain(Windows(1, None, 0, 0).assign(array([]), 5, NOW), 0) == ({}, [], 5)

    @pytest.mark.parametrize("extreme", [(1 << 63) - 1, -(1 << 63)])
    def test_absurd_timestamps_do_no_harm(self, extreme: int) -> None:
        """The largest and smallest timestamps count somewhere and make no other line late."""
        windows = Windows(MINUTE, None, MINUTE, 0)
        assignment = windows.assign(array([extreme, NOW]), NO_WATERMARK, NOW)
        assert assignment.watermark == NOW
        assert windows.starts_of(extreme) == [assignment.windows[extreme > 0][0]]
        assert not assignment.late.size


class TestKeys:
    """Keys of rows."""

    @given(st.lists(st.tuples(st.integers(-(1 << 63), (1 << 63) - 1), st.text(max_size=4))))
    def test_keys_sort_as_start_and_word_do(self, rows: list[tuple[int, str]]) -> None:
        """The order of the keys is that of window start, then the word's bytes."""
        pairs = [(start, word.encode()) for start, word in rows]
        keys = [Windows.key(*pair) for pair in pairs]
        assert sorted(keys) == [Windows.key(*pair) for pair in sorted(pairs)]
        assert all(
            key.startswith(Windows.prefix(start)) and Windows.start_of(key) == start
            for key, (start, _) in zip(keys, pairs, strict=True)
        )

    @given(st.integers(-(1 << 62), 1 << 62), st.lists(st.text(max_size=4)), st.integers(0, 3))
    def test_keys_of_many_words_are_those_of_each(
        self, start: int, words: list[str], cut: int
    ) -> None:
        """Whole arrays, slices and large strings give the keys that single words give."""
        expected = [Windows.key(start, word.encode()) for word in words]
        for kind in (pa.string(), pa.large_string()):
            assert Windows.keys(start, pa.array(words, kind)) == expected
            assert Windows.keys(start, pa.array(words, kind).slice(cut)) == expected[cut:]

    def test_keys_are_what_they_were(self) -> None:
        """The bytes are fixed: stored rows must be found again."""
        assert Windows.key(NOW, b"a") == bytes.fromhex("8000018bcfe56800") + b"a"
        assert Windows.prefix(-1) == bytes.fromhex("7fffffffffffffff")
        assert Windows.start_of(Windows.key(-MINUTE, b"x")) == -MINUTE
