"""Columns of records: they hold what the records hold, however they are cut and joined."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from app.kafka.records import Records

if TYPE_CHECKING:
    from collections.abc import Sequence


class Record(NamedTuple):
    """A record as aiokafka returns it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


def objects(records: Records) -> list[Record]:
    """The records that the columns hold."""
    assert len(records) == len(records.keys) == len(records.offsets) == len(records.timestamps)
    headers = [records.headers.get(place, []) for place in range(len(records))]
    columns = records.offsets.tolist(), records.timestamps.tolist(), records.keys, records.values
    return [Record(*record) for record in zip(*columns, headers, strict=True)]


maybe_bytes = st.none() | st.binary(max_size=3)
anything = st.lists(
    st.tuples(
        st.integers(0, 1 << 50),
        maybe_bytes,
        maybe_bytes,
        st.lists(st.tuples(st.text(max_size=2), st.binary(max_size=2)), max_size=2),
    ),
    max_size=12,
).map(lambda fields: [Record(2 * place, *rest) for place, rest in enumerate(fields)])


@given(anything, st.data())
def test_columns_hold_what_records_hold(records: list[Record], data: st.DataObject) -> None:
    """Joined parts are the whole, what is selected is what was asked for, offsets may have gaps."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(records)), max_size=3)))
    parts = [records[a:b] for a, b in zip([0, *cuts], [*cuts, len(records)], strict=True)]
    whole = Records.join([Records.of(part) for part in parts])
    assert objects(whole) == records
    offset = data.draw(st.integers(-1, 2 * len(records) + 1))
    assert objects(whole.since(offset)) == [r for r in records if r.offset >= offset]
    places = data.draw(st.lists(st.sampled_from(range(len(records))))) if records else []
    assert objects(whole.select(places)) == [records[place] for place in places]
    assert whole.size >= sum(
        len(record.value or b"")
        + len(record.key or b"")
        + sum(len(name) + len(text) for name, text in record.headers)
        for record in records
    )


def test_nothing_joined_is_nothing() -> None:
    """A block of control batches alone has no records."""
    assert objects(Records.join([])) == []
