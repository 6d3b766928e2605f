"""Values into the bytes of columns."""

from __future__ import annotations

import datetime as dt
import decimal

import pytest
from cassandra import cqltypes
from hypothesis import given
from hypothesis import strategies as st

from app.cassandra.columns import ACCEPTED, CodecError, codec
from app.settings import FIELDS

COUNT_TYPES = {
    "tinyint": (cqltypes.ByteType, 8),
    "smallint": (cqltypes.ShortType, 16),
    "int": (cqltypes.Int32Type, 32),
    "bigint": (cqltypes.LongType, 64),
}
PROTOCOL = 5
MOMENT_MS = 1_769_860_800_123  # 2026-01-31T12:00:00.123Z


def encoded(field: str, cql_type: str, value: object) -> bytes:
    encode = codec(field, cql_type)
    assert encode is not None
    return encode(value)


@given(st.text())
def test_words_are_utf_8(word: str) -> None:
    """A word becomes its UTF-8 bytes, or is refused if it is not Unicode text."""
    try:
        expected = word.encode()
    except UnicodeEncodeError:
        with pytest.raises(CodecError):
            encoded("word", "text", word)
    else:
        assert encoded("word", "text", word) == expected


@given(st.sampled_from(sorted(COUNT_TYPES)), st.integers(-(2**70), 2**70))
def test_counts_fit_or_are_refused(cql_type: str, count: int) -> None:
    """The driver reads back the same count, or the count is refused; it never wraps around."""
    driver_type, bits = COUNT_TYPES[cql_type]
    if -(2 ** (bits - 1)) <= count < 2 ** (bits - 1):
        assert driver_type.deserialize(encoded("count", cql_type, count), PROTOCOL) == count
    else:
        with pytest.raises(CodecError, match=cql_type):
            encoded("count", cql_type, count)


@given(st.integers(-(2**200), 2**200))
def test_counts_of_any_size_fit_varint_and_decimal(count: int) -> None:
    """The driver reads back the same number."""
    varint = cqltypes.IntegerType.deserialize(encoded("count", "varint", count), PROTOCOL)
    exact = cqltypes.DecimalType.deserialize(encoded("count", "decimal", count), PROTOCOL)
    assert varint == count
    assert exact == decimal.Decimal(count)


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_times_read_back_as_the_same_moment(moment_ms: int) -> None:
    """A timestamp and a bigint keep the millisecond, a date the day, and text is ISO 8601."""
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=moment_ms)
    as_timestamp = encoded("window_start", "timestamp", moment_ms)
    as_number = cqltypes.LongType.deserialize(encoded("window_end", "bigint", moment_ms), PROTOCOL)
    as_date = cqltypes.SimpleDateType.deserialize(
        encoded("window_start", "date", moment_ms), PROTOCOL
    )
    as_text = encoded("updated_at", "text", moment_ms).decode()
    assert as_timestamp == cqltypes.LongType.serialize(moment_ms, PROTOCOL)
    assert as_number == moment_ms
    assert as_date.date() == moment.date()
    assert as_text.endswith("Z")
    assert dt.datetime.fromisoformat(as_text) == moment


def test_text_times_sort_as_times_do() -> None:
    """Years have four digits, so the order of the texts is that of the times."""
    assert encoded("window_start", "text", MOMENT_MS) == b"2026-01-31T12:00:00.123Z"
    assert encoded("window_start", "text", -62_135_596_800_000) == b"0001-01-01T00:00:00.000Z"


def test_times_beyond_their_type_are_refused() -> None:
    """A time in the far future has no date and no ISO 8601 form."""
    for cql_type in ("date", "text"):
        with pytest.raises(CodecError):
            encoded("window_start", cql_type, 2**62)


@pytest.mark.parametrize(
    ("field", "cql_type"),
    [
        ("word", "ascii"),
        ("word", "blob"),
        ("word", "int"),
        ("count", "counter"),
        ("count", "double"),
        ("count", "text"),
        ("window_start", "int"),
        ("window_start", "timeuuid"),
        ("updated_at", "time"),
    ],
)
def test_types_that_would_lose_something_are_not_accepted(field: str, cql_type: str) -> None:
    """A type that can't hold every value of the field has no codec."""
    assert codec(field, cql_type) is None


def test_accepted_types_have_a_codec() -> None:
    """Each type that an error message proposes has a codec."""
    for field in FIELDS:
        assert ACCEPTED[field]
        assert all(codec(field, cql_type) for cql_type in ACCEPTED[field])
