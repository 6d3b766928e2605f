"""An error becomes one line and an exit status."""

from __future__ import annotations

import json

import pytest

from app.errors import ConfigurationError, UnavailableError, end_with, exit_status


def test_the_status_depends_on_the_class_of_the_error() -> None:
    """The status is 2 for a wrong setting, and 1 for a missing resource or an unexpected error."""
    assert exit_status(ConfigurationError("x")) == 2
    assert exit_status(UnavailableError("x")) == 1
    assert exit_status(KeyError("x")) == 1


def test_the_end_is_one_line_and_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    """The error goes to standard error, as a line or as an object like those of the log."""
    with pytest.raises(SystemExit) as ended:
        end_with(ConfigurationError("n=0: must be more"))
    assert (ended.value.code, capsys.readouterr()) == (2, ("", "Error: n=0: must be more\n"))
    with pytest.raises(SystemExit):
        end_with(UnavailableError("Kafka is away"), as_json=True)
    printed = json.loads(capsys.readouterr().err)
    assert (printed["level"], printed["message"]) == ("error", "Kafka is away")
