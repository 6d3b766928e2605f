"""Rows of the table as bytes: what is encoded is decoded, and keys can't be mistaken."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.counting.windows import Windows
from tables import rows
from tables.rows import WindowTotals

int64 = st.integers(-(2**63), 2**63 - 1)
counts = st.lists(st.integers(0, 2**63 - 1), max_size=40)


@given(counts, int64)
def test_rows_keep_count_and_version(given_counts: list[int], version: int) -> None:
    """Each count becomes one row that holds it and the version."""
    encoded = rows.encode_rows(np.array(given_counts, np.int64), version)
    assert [rows.decode_row(row) for row in encoded] == [(n, version) for n in given_counts]
    assert {len(row) for row in encoded} <= {16}


@given(st.lists(st.none() | st.integers(0, 2**63 - 1), max_size=40), int64)
def test_counts_of_missing_rows_are_nought(found: list[int | None], version: int) -> None:
    """Reading many rows at once gives their counts, 0 where there is no row."""
    values = [
        None if n is None else rows.encode_rows(np.array([n], np.int64), version)[0] for n in found
    ]
    assert rows.decode_counts(values).tolist() == [n or 0 for n in found]


def test_counts_of_other_sizes_are_taken_as_whole_numbers() -> None:
    """Counts come as pyarrow gives them; a row always has 8 bytes for one."""
    assert rows.encode_rows(np.array([1], np.int32), 2) == rows.encode_rows(
        np.array([1], np.int64), 2
    )


@given(st.tuples(int64, int64, int64))
def test_totals_are_kept(values: tuple[int, int, int]) -> None:
    """A window's own row keeps words, distinct words and version."""
    totals = WindowTotals(*values)
    assert rows.decode_totals(rows.encode_totals(totals)) == totals


@given(int64)
def test_numbers_alone_are_kept(number: int) -> None:
    """A version or a time alone comes back; where none was written it is the default."""
    assert rows.decode_number(rows.encode_number(number)) == number
    assert rows.decode_number(None) == 0
    assert rows.decode_number(None, number) == number


@given(st.integers(-(2**62), 2**62))
def test_no_key_of_a_window_is_a_key_of_the_partition(start: int) -> None:
    """The keys of the partition itself are shorter than any key of a window."""
    for key in (rows.FLUSHED, rows.WATERMARKS, rows.EXPIRED):
        assert len(key) < rows.PREFIX_BYTES == len(Windows.prefix(start))


def test_a_broken_row_is_refused() -> None:
    """A row of another length is an error, not a count."""
    with pytest.raises(Exception, match="unpack"):
        rows.decode_row(b"12345678")
