"""The log lines of the driver that reach the operator."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import pytest

from app.cassandra import logs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def driver_log() -> Iterator[logging.Logger]:
    """The driver's logger of its cluster, with the application's filter."""
    logger = logging.getLogger("cassandra.cluster")
    before = logger.filters[:]
    logger.filters = []
    logs.quieten_driver()
    logs.quieten_driver()
    yield logger
    logger.filters = before


def test_tracebacks_become_one_line(
    driver_log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the error's own line, with its percent signs, and no traceback."""
    lost = ConnectionResetError("100%\nlost")
    driver_log.warning("Error connecting to %s:", "node", exc_info=lost)
    (record,) = caplog.records
    assert record.exc_info is None
    assert record.getMessage() == "Error connecting to node: 100% lost"


def test_the_same_fault_is_logged_once_a_minute(
    driver_log: logging.Logger,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Repeats of a fault are suppressed, and other faults are logged."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for number in range(5):
        driver_log.warning("Host %s error", number)
    driver_log.warning("another")
    now += 61
    driver_log.warning("Host %s error", 9)
    assert [r.getMessage() for r in caplog.records] == ["Host 0 error", "another", "Host 9 error"]


def test_a_raised_error_is_not_logged_as_well(
    driver_log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure to connect is raised to the caller, which reports it."""
    driver_log.error("Control connection failed to connect, shutting down Cluster:")
    assert not caplog.records


def test_debug_messages_pass_unchanged(
    driver_log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """A DEBUG record passes unchanged."""
    with caplog.at_level(logging.DEBUG, "cassandra.cluster"):
        driver_log.debug("detail")
        driver_log.debug("detail")
    assert len(caplog.records) == 2
