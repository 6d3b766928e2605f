"""A Bluesky source reads Jetstream's events as posts, each with a cursor."""

import json

import pytest

from app.sources.base import Batch, Position
from app.sources.bluesky import BlueskySource

URL = "wss://jetstream.example/subscribe"


def event(time_us: int = 1_750_000_000_123_456, **commit: object) -> str:
    """Return an event with a commit of one new post, changed by `commit`."""
    post = {"operation": "create", "collection": "app.bsky.feed.post", "rkey": "r", "cid": "c"}
    record = {"text": "a post", "createdAt": "1970-01-01T00:00:00Z"}
    envelope = {"did": "did:plc:a", "time_us": time_us, "kind": "commit"}
    return json.dumps({**envelope, "commit": {**post, "record": record, **commit}})


def batch(source: BlueskySource, data: str) -> Batch | None:
    found = source._event(data)
    return found and source._batch(*found)


def test_a_post_carries_the_servers_time_and_its_cursor() -> None:
    """The names distinguish posts of the same µs."""
    source = BlueskySource(URL)
    names = [f"did:plc:a app.bsky.feed.post {key} create" for key in "rs"]
    key = f"bluesky {URL}"
    assert batch(source, event()) == Batch(
        b"a post",
        1,
        1_750_000_000_123,
        Position(key, {"cursor": 1_750_000_000_123_456, "seen": names[:1]}),
    )
    second = batch(source, event(rkey="s"))
    assert second is not None
    assert second.position == Position(key, {"cursor": 1_750_000_000_123_456, "seen": names})
    third = batch(source, event(1_750_000_000_123_457))
    assert third is not None
    assert third.position == Position(key, {"cursor": 1_750_000_000_123_457, "seen": names[:1]})


@pytest.mark.parametrize(
    "data",
    [
        event(operation="update"),
        event(operation="delete", record=None),
        event(collection="app.bsky.feed.like"),
        event(record={"text": ""}),
        '{"did": "did:plc:a", "time_us": 1, "kind": "identity"}',
    ],
)
def test_other_events_only_move_the_cursor(data: str) -> None:
    """Such an event has a position but no line."""
    found = batch(BlueskySource(URL), data)
    assert found is not None
    assert (found.lines, found.text) == (0, b"")
    assert found.position is not None


@pytest.mark.parametrize(
    "data", ["", "[]", "{}", '{"time_us": "x"}', event(record=[]), "[" * 10**5]
)
def test_a_message_without_an_event_is_skipped_and_reported(
    data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message ends neither the source nor the connection."""
    assert batch(BlueskySource(URL), data) is None
    assert "skipped a message that is no event" in capsys.readouterr().err


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    """JSON can hold it, UTF-8 can't encode it."""
    found = batch(BlueskySource(URL), event(record={"text": "a\ud800\0b"}))
    assert found is not None
    assert found.text == b"a?\x00b"
