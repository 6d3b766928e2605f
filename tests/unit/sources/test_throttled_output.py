"""What peers do wrong is said, but not as often as they do it."""

import pytest

from app.sources.throttled_output import ThrottledOutput


def test_a_kind_is_said_once_in_a_while_with_how_many_were_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other kinds are not held up by it."""
    now = 100.0
    monkeypatch.setattr("app.sources.throttled_output.time.monotonic", lambda: now)
    notices = ThrottledOutput()
    for _ in range(3):
        notices.say("garbage", "closed a connection")
    notices.say("full", "refused one")
    now = 111.0
    notices.say("garbage", "closed a connection")
    assert capsys.readouterr().err.splitlines() == [
        "closed a connection",
        "refused one",
        "closed a connection (2 more like it since the last)",
    ]
