"""Logging: one line an error, few repeats, and no record that the application logs itself."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import logging.config
import re
import sys
import time
from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import KafkaConnectionError

from app import logs
from app.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def record(
    message: str, *args: object, error: BaseException | None = None, line: int = 1
) -> logging.LogRecord:
    """A warning, logged at line `line`."""
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("app.x", logging.WARNING, "x.py", line, message, args, exc_info)


def raised(error: Exception) -> Exception:
    """The error, with a traceback."""
    try:
        raise error
    except type(error):
        return error


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the time that the filter sees, in seconds."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def set_to(seconds: float) -> None:
        now[0] = 1000.0 + seconds

    return set_to


class TestLineFormatter:
    """The format of a line."""

    def test_leaves_an_expected_error_without_a_traceback(self) -> None:
        """An error of the application is formatted as one line."""
        error = raised(UnavailableError("Kafka is away; start it"))
        text = logs.LineFormatter("%(message)s").format(record("stopped: %s", error, error=error))
        assert text == "stopped: Kafka is away; start it"

    def test_keeps_the_traceback_of_an_unexpected_error(self) -> None:
        """An unexpected error is formatted with its traceback."""
        text = logs.LineFormatter("%(message)s").format(
            record("stopped", error=raised(KeyError("x")))
        )
        assert text.startswith("stopped\nTraceback")
        assert text.endswith("KeyError: 'x'")


class TestJsonFormatter:
    """The format for programs."""

    def test_is_one_object_a_line(self) -> None:
        """The object holds time, level, logger and any message."""
        printed = logs.JsonFormatter().format(record("lost\n%s", "\u2028\x1b"))
        assert "\n" not in printed
        read = json.loads(printed)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", read.pop("time"))
        assert read == {"level": "warning", "logger": "app.x", "message": "lost\n\u2028\x1b"}

    def test_carries_the_traceback_of_an_unexpected_error_only(self) -> None:
        """Only an unexpected error adds a traceback to the object."""
        unexpected = json.loads(
            logs.JsonFormatter().format(record("x", error=raised(KeyError("k"))))
        )
        assert unexpected["error"].startswith("Traceback")
        expected = raised(UnavailableError("Kafka is away"))
        assert "error" not in json.loads(logs.JsonFormatter().format(record("x", error=expected)))


class TestRepeatFilter:
    """The filter of repeated messages."""

    def test_suppresses_the_same_message(self, clock: Callable[[float], None]) -> None:
        """The same message is logged once in ten seconds, whatever its arguments."""
        repeats = logs.RepeatFilter()
        assert repeats.filter(record("lost %s", "a"))
        clock(9.9)
        assert not repeats.filter(record("lost %s", "b"))

    def test_counts_the_suppressed_messages(self, clock: Callable[[float], None]) -> None:
        """The next logged message states the number of suppressed ones, once."""
        repeats = logs.RepeatFilter()
        repeats.filter(record("lost %s", "a"))
        repeats.filter(record("lost %s", "b"))
        repeats.filter(record("lost %s", "c"))
        clock(10.0)
        again = record("lost %s", "d")
        assert repeats.filter(again)
        assert again.getMessage() == "lost d (2 more like it since the last)"
        clock(20.0)
        later = record("lost %s", "e")
        assert repeats.filter(later)
        assert later.getMessage() == "lost e"

    def test_distinguishes_messages_and_places(self) -> None:
        """Another text, or the same text from another place, is another message."""
        repeats = logs.RepeatFilter()
        assert repeats.filter(record("lost"))
        assert repeats.filter(record("found"))
        assert repeats.filter(record("lost", line=2))

    def test_remembers_a_bounded_number_of_messages(self) -> None:
        """A library that logs only distinct messages does not fill the memory."""
        repeats = logs.RepeatFilter()
        for number in range(3 * logs.MAX_REMEMBERED):
            assert repeats.filter(record(f"offset {number}"))
        assert len(repeats._logged) <= logs.MAX_REMEMBERED + 1

    def test_accepts_a_percent_sign(self, clock: Callable[[float], None]) -> None:
        """A message without arguments may hold a percent sign."""
        repeats = logs.RepeatFilter()
        repeats.filter(record("100 %"))
        repeats.filter(record("100 %"))
        clock(10.0)
        again = record("100 %")
        assert repeats.filter(again)
        assert again.getMessage() == "100 % (1 more like it since the last)"


class TestExpectedFilter:
    """The filter of records about an absent Kafka."""

    @pytest.mark.parametrize(
        "known",
        [
            record("crashed", error=KafkaConnectionError("no broker")),
            record("crashed", error=UnavailableError("no broker")),
            record("crashed: KafkaError()"),
            record("crashed", error=asyncio.CancelledError()),
            record("Reraising original exception"),
        ],
    )
    def test_suppresses_what_the_application_logs(self, known: logging.LogRecord) -> None:
        """Records about an absent Kafka, or errors that the application prints, are dropped."""
        assert not logs.ExpectedFilter().filter(known)

    @pytest.mark.parametrize(
        "other", [record("crashed", error=KeyError("x")), record("no error at all")]
    )
    def test_passes_all_other_records(self, other: logging.LogRecord) -> None:
        """A record that is not about Kafka is logged."""
        assert logs.ExpectedFilter().filter(other)

    def test_accepts_a_message_that_is_not_text(self) -> None:
        """Libraries log exceptions as messages; the filter looks at their text."""
        thing = record("")
        thing.msg = ValueError("x")
        assert logs.ExpectedFilter().filter(thing)


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Standard error under the worker's configuration of logging, which is undone afterwards."""
    names = ["", "app", "agents", "tables", "asyncio", "cassandra", "faust", "mode", "aiokafka"]
    loggers = [logging.getLogger(name) for name in names]
    before = [
        (logger, logger.level, logger.propagate, logger.handlers[:], logger.filters[:])
        for logger in loggers
    ]
    printed = io.StringIO()
    monkeypatch.setattr(sys, "stderr", printed)
    logging.config.dictConfig(logs.config("INFO"))
    yield printed
    for logger, level, propagate, handlers, filters in before:
        logger.setLevel(level)
        logger.propagate = propagate
        logger.handlers[:] = handlers
        logger.filters[:] = filters


class TestConfig:
    """The worker's configuration of logging."""

    def test_logs_the_application_in_plain_lines(self, stderr: io.StringIO) -> None:
        """The application's INFO is a line of time, level and text."""
        logging.getLogger("app.kafka.watch").info("Kafka at %s is back", "a:9092")
        logging.getLogger("app.kafka.watch").debug("asked again")
        assert stderr.getvalue()[8:] == " INFO Kafka at a:9092 is back\n"

    def test_keeps_frameworks_quiet_below_errors(self, stderr: io.StringIO) -> None:
        """Faust, mode, asyncio and the clients log errors only, aiokafka not even those."""
        for name in ("faust.x", "mode.x", "asyncio", "cassandra.cluster"):
            logging.getLogger(name).warning("by the way")
        logging.getLogger("aiokafka.client").error("can't connect")
        assert stderr.getvalue() == ""

    def test_passes_an_error_of_a_framework(self, stderr: io.StringIO) -> None:
        """An error that is not about an absent Kafka is logged with its traceback."""
        logging.getLogger("faust.agents").error("crashed", exc_info=raised(KeyError("x")))
        assert " ERROR crashed\nTraceback" in stderr.getvalue()

    def test_logs_a_repeated_fault_once(self, stderr: io.StringIO) -> None:
        """A message of every retry is logged once per interval."""
        for number in range(5):
            logging.getLogger("app.kafka.producer").warning("transaction failed: %s", number)
        assert stderr.getvalue().count("\n") == 1

    def test_shows_what_frameworks_do_for_debugging(
        self, stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Faust's INFO lines, such as tables of partitions, are logged only at DEBUG."""
        logging.getLogger("faust.tables").info("partitions: | topic | {0-3} |")
        assert stderr.getvalue() == ""
        monkeypatch.setattr(sys, "stderr", stderr)
        logging.config.dictConfig(logs.config("DEBUG"))
        logging.getLogger("faust.tables").info("partitions: | topic | {0-3} |")
        assert "| topic |" in stderr.getvalue()

    def test_writes_json_where_that_is_set(
        self, stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Frameworks' errors are objects too."""
        monkeypatch.setattr(sys, "stderr", stderr)
        logging.config.dictConfig(logs.config("INFO", "json"))
        logging.getLogger("app.x").info("one")
        logging.getLogger("faust.x").error("two", exc_info=raised(KeyError("x")))
        printed = [json.loads(line) for line in stderr.getvalue().splitlines()]
        assert [(line["level"], line["message"]) for line in printed] == [
            ("info", "one"),
            ("error", "two"),
        ]
