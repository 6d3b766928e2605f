"""Repeated problems are printed, but not each time they occur."""

import pytest

from app.sources.throttled_output import ThrottledOutput


def test_a_kind_is_printed_once_per_interval_with_the_number_suppressed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other kinds are printed independently; a forgotten kind is printed at once."""
    now = 100.0
    monkeypatch.setattr("app.sources.throttled_output.time.monotonic", lambda: now)
    notices = ThrottledOutput()
    for _ in range(3):
        notices.notify("garbage", "closed a connection")
    notices.notify("full", "refused one")
    now = 111.0
    notices.notify("garbage", "closed a connection")
    notices.forget("garbage")
    notices.notify("garbage", "closed a connection")
    assert capsys.readouterr().err.splitlines() == [
        "closed a connection",
        "refused one",
        "closed a connection (2 more like it since the last)",
        "closed a connection",
    ]
