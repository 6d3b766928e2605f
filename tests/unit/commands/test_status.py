"""The troubles that `status` reports, and its exit status."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from click.testing import CliRunner

from app.commands.status import status, troubles

MODULE = sys.modules["app.commands.status"]  # the package's name `status` is the command


def partition(number: int, **values: Any) -> dict[str, Any]:
    """A partition of which all is known."""
    known = {"partition": number, "lines_lag": 5, "partials_lag": 0, "rows_waiting": 7}
    return {**known, "last_checkpoint": "2026-11-22T21:40:00Z", **values}


def answer(*partitions: dict[str, Any], **values: Any) -> dict[str, Any]:
    """Return the answer of a worker of an application with two partitions."""
    worker = {
        "id": "shop",
        "url": "http://a:6066",
        "state": "working",
        "reasons": values.pop("reasons", []),
        "lines": 12_345,
        "late": 1,
        "rejected": 0,
        "last_flush": None,
        "unflushed_seconds": 0.5,
        "partitions": list(partitions),
    }
    return {"id": "shop", "partitions": 2, "workers": [worker], "silent": [], **values}


WELL = answer(partition(0), partition(1))


def test_nothing_is_wrong_where_all_partitions_are_worked_on() -> None:
    """No line says anything."""
    assert troubles(WELL) == []


def test_what_is_wrong_is_named() -> None:
    """Partitions without a worker, workers that do not answer, workers that are not ready."""
    silent = [{"url": "http://b:6066", "reason": "the worker http://b:6066 does not answer"}]
    found = troubles(answer(partition(0), silent=silent, reasons=["the worker is recovering"]))
    assert found == [
        "the worker http://b:6066 does not answer",
        "no worker owns partition 1",
        "http://a:6066: the worker is recovering",
    ]
    assert troubles(answer())[0] == "no worker owns partitions 0, 1"


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize(("told", "code"), [(WELL, 0), (answer(partition(0)), 1)])
def test_the_exit_status_is_1_when_trouble_is_reported(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, Any], code: int, options: list[str]
) -> None:
    """0: all is well; 1: not. So scripts need not read."""
    monkeypatch.setattr(MODULE, "ask", lambda *_: told)
    assert CliRunner().invoke(status, options).exit_code == code


def test_an_unknown_lag_is_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a wrong sum."""
    told = answer(partition(0), partition(1, lines_lag=None))
    monkeypatch.setattr(MODULE, "ask", lambda *_: told)
    said = CliRunner().invoke(status).output
    assert "? messages of lines, 0 of partial counts" in said
    assert "14 rows wait for it, for 0.5 s" in said
