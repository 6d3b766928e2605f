"""Failures before a retry are announced once, and their end too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.sources.announced_backoff import AnnouncedBackoff

if TYPE_CHECKING:
    import pytest


def test_failures_are_announced_once_and_their_end_too(capsys: pytest.CaptureFixture[str]) -> None:
    """A success after no failure prints nothing; a new failure is printed at once."""
    backoff = AnnouncedBackoff()
    backoff.succeeded("server is there")
    for _ in range(3):
        assert 0 < backoff.failed("server is away") <= 15
    backoff.succeeded("server is there")
    backoff.failed("server is away")
    assert capsys.readouterr().err.splitlines() == [
        "server is away; retrying",
        "server is there",
        "server is away; retrying",
    ]
