"""Events of a Flume call become batches of lines."""

import time

import pytest

from app.sources.base import Batch
from app.sources.flume.events import batches_of, event_time
from app.sources.flume.thrift import Event

NOW_MS = 1_750_000_000_000


def batches(*events: Event) -> list[Batch]:
    return list(batches_of(events, 3))


def test_events_alike_share_a_batch_and_the_last_carries_the_call() -> None:
    """A body is a line without its last newline; events of other headers get another batch."""
    host = {b"host": b"a"}
    found = batches(
        Event(body=b"one"),
        Event(headers={}, body=b"two\nthree\n"),
        Event(headers=host, body=b"four"),
        Event(headers=dict(host), body=None),
    )
    assert found == [
        Batch(b"one\ntwo\nthree", 3),
        Batch(b"four\n", 2, position=3, headers=(("host", b"a"),)),
    ]


def test_a_timestamp_header_is_the_event_time_and_stays_a_header() -> None:
    """Flume's timestamp interceptor adds such a header."""
    text = b"%d" % (time.time_ns() // 1_000_000)
    (batch,) = batches(Event(headers={b"timestamp": text}, body=b"x"))
    assert (batch.timestamp_ms, batch.headers) == (int(text), (("timestamp", text),))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"1750000000000", NOW_MS),
        (b"1750000000", None),
        (b"", None),
        (b"-1", None),
        (b"soon", None),
        (b"9" * 10_000, None),
        ("²".encode(), None),
    ],
)
def test_only_plausible_timestamps_count(text: bytes, expected: int | None) -> None:
    """Seconds, words and endless numbers are not event times."""
    assert event_time(text) == expected
