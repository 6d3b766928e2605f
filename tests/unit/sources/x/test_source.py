"""An X source reads posts, skips other messages, and keeps the token secret."""

import time
from pathlib import Path

import pytest

from app.commands.produce.x import _token
from app.errors import ConfigurationError
from app.sources.x.rules import explanation
from app.sources.x.source import XSource, _event_time, session

POST = b'{"data": {"id": "1", "text": "a post", "created_at": "2026-01-02T03:04:05.678Z"}}'


def test_a_post_comes_once_with_its_time_and_whole_text() -> None:
    """The whole text of a long post is used; half a surrogate pair is replaced."""
    source = XSource("token")
    batch = source._post(POST)
    assert batch is not None
    assert (batch.text, batch.lines, batch.timestamp_ms) == (b"a post", 1, 1767323045678)
    assert source._post(POST) is None
    long = source._post(b'{"data": {"id": "2", "text": "a", "note_tweet": {"text": "a long one"}}}')
    odd = source._post(b'{"data": {"id": "3", "text": "a\\ud800\\u0000b\\nc"}}')
    assert long is not None
    assert long.text == b"a long one"
    assert odd is not None
    assert (odd.text, odd.lines) == (b"a?\x00b\nc", 1)


def test_the_number_of_remembered_posts_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest id is dropped first, so memory is bounded."""
    monkeypatch.setattr("app.sources.x.source._REMEMBERED", 2)
    source = XSource("token")
    for number in b"1", b"2", b"3":
        assert source._post(POST.replace(b'"1"', b'"%s"' % number))
    assert source._post(POST)
    assert not source._post(POST.replace(b'"1"', b'"3"'))


@pytest.mark.parametrize(
    "line", [b"{", b"1", b"null", b'{"data": []}', b'{"data": {"id": 1}}', b"[" * 100_000]
)
def test_a_message_without_a_post_is_skipped_and_reported(
    line: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message ends neither the source nor the connection."""
    assert XSource("token")._post(line) is None
    assert "skipped a message that is no post" in capsys.readouterr().err


def test_a_disconnect_message_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """A line on stderr has X's reason for the end of the stream."""
    line = b'{"errors": [{"title": "operational-disconnect", "detail": "for operational reasons"}]}'
    assert XSource("token")._post(line) is None
    assert capsys.readouterr().err == "X reports: for operational reasons\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05.000Z", 1767323045000),
        ("2026-01-02T03:04:05+01:00", 1767319445000),
        (None, None),
        ("yesterday", None),
        ("9999-12-31T23:59:59Z", None),
        ("0001-01-01T00:00:00+23:59", None),
    ],
)
def test_only_plausible_times_count(text: object, expected: int | None) -> None:
    """A post with any other time has no event time."""
    assert _event_time(text) == expected
    assert time.time() > 1.7e9


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"errors": [{"details": ["it lacks a parenthesis"]}]}, "it lacks a parenthesis"),
        ({"errors": [{"message": "no such parameter"}], "title": "Invalid"}, "no such parameter"),
        ({"title": "Unauthorized", "status": 401}, "Unauthorized"),
        ({"errors": "odd"}, ""),
        ({}, ""),
    ],
)
def test_the_reason_in_an_answer_is_one_line(answer: dict[str, object], expected: str) -> None:
    """The reason is found in every place that X uses."""
    assert explanation(answer) == expected


@pytest.mark.parametrize("endpoint", ["http://example.com", "ftp://example.com", "example.com"])
def test_a_token_is_not_sent_in_clear(endpoint: str) -> None:
    """A plain http endpoint on another machine is refused."""
    with pytest.raises(ConfigurationError, match="no https URL"):
        session("token", endpoint)


@pytest.mark.parametrize("content", ["", " \n", "two words", "ümlaut", "a\nb"])
def test_a_wrong_token_is_refused_without_being_shown(tmp_path: Path, content: str) -> None:
    """The error names the file, not its content."""
    path = tmp_path / "token"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="token holds no bearer token") as caught:
        _token(path)
    assert not content.strip() or content not in str(caught.value)
