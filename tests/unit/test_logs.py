"""Logging: one line an error, seldom the same one, nothing that the application says itself."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import logging.config
import re
import sys
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
    """A warning, said at line `line`."""
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
    monkeypatch.setattr(logs.time, "monotonic", lambda: now[0])

    def set_to(seconds: float) -> None:
        now[0] = 1000.0 + seconds

    return set_to


class TestOneLine:
    """The format of a line."""

    def test_leaves_an_expected_error_without_a_traceback(self) -> None:
        """What the application raises says all in its one line."""
        error = raised(UnavailableError("Kafka is away; start it"))
        text = logs.OneLine("%(message)s").format(record("stopped: %s", error, error=error))
        assert text == "stopped: Kafka is away; start it"

    def test_keeps_the_traceback_of_an_unexpected_error(self) -> None:
        """What nobody expects must be found."""
        text = logs.OneLine("%(message)s").format(record("stopped", error=raised(KeyError("x"))))
        assert text.startswith("stopped\nTraceback")
        assert text.endswith("KeyError: 'x'")


class TestJsonLine:
    """The format for programs."""

    def test_is_one_object_a_line(self) -> None:
        """Time, level, logger and text, whatever is in it."""
        said = logs.JsonLine().format(record("lost\n%s", "\u2028\x1b"))
        assert "\n" not in said
        read = json.loads(said)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", read.pop("time"))
        assert read == {"level": "warning", "logger": "app.x", "message": "lost\n\u2028\x1b"}

    def test_carries_the_traceback_of_an_unexpected_error_only(self) -> None:
        """What the application raises says all in its message."""
        unexpected = json.loads(logs.JsonLine().format(record("x", error=raised(KeyError("k")))))
        assert unexpected["error"].startswith("Traceback")
        expected = raised(UnavailableError("Kafka is away"))
        assert "error" not in json.loads(logs.JsonLine().format(record("x", error=expected)))


class TestSeldom:
    """The filter of what was said already."""

    def test_holds_back_the_same_message(self, clock: Callable[[float], None]) -> None:
        """The same message comes once in ten seconds, whatever its arguments."""
        seldom = logs.Seldom()
        assert seldom.filter(record("lost %s", "a"))
        clock(9.9)
        assert not seldom.filter(record("lost %s", "b"))

    def test_says_how_often_it_was_held_back(self, clock: Callable[[float], None]) -> None:
        """What comes through again tells of those that did not, once."""
        seldom = logs.Seldom()
        seldom.filter(record("lost %s", "a"))
        seldom.filter(record("lost %s", "b"))
        seldom.filter(record("lost %s", "c"))
        clock(10.0)
        again = record("lost %s", "d")
        assert seldom.filter(again)
        assert again.getMessage() == "lost d (and 2 times like it)"
        clock(20.0)
        later = record("lost %s", "e")
        assert seldom.filter(later)
        assert later.getMessage() == "lost e"

    def test_tells_messages_and_places_apart(self) -> None:
        """Other words, or the same from elsewhere, are another message."""
        seldom = logs.Seldom()
        assert seldom.filter(record("lost"))
        assert seldom.filter(record("found"))
        assert seldom.filter(record("lost", line=2))

    def test_remembers_a_bounded_number_of_messages(self) -> None:
        """A library whose every message is another one does not fill the memory."""
        seldom = logs.Seldom()
        for number in range(3 * logs.REMEMBERED):
            assert seldom.filter(record(f"offset {number}"))
        assert len(seldom._said) <= logs.REMEMBERED + 1

    def test_takes_a_percent_sign_for_what_it_is(self, clock: Callable[[float], None]) -> None:
        """A message without arguments may hold a percent sign."""
        seldom = logs.Seldom()
        seldom.filter(record("100 %"))
        seldom.filter(record("100 %"))
        clock(10.0)
        again = record("100 %")
        assert seldom.filter(again)
        assert again.getMessage() == "100 % (and 1 times like it)"


class TestUnexpected:
    """The filter of what frameworks say of an absent Kafka."""

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
    def test_holds_back_what_the_application_says(self, known: logging.LogRecord) -> None:
        """An absent Kafka, and errors that end the worker with a line of their own, are known."""
        assert not logs.Unexpected().filter(known)

    @pytest.mark.parametrize(
        "other", [record("crashed", error=KeyError("x")), record("no error at all")]
    )
    def test_lets_everything_else_through(self, other: logging.LogRecord) -> None:
        """What is not about Kafka must be seen."""
        assert logs.Unexpected().filter(other)

    def test_takes_a_message_that_is_no_text(self) -> None:
        """Libraries log exceptions as messages; they are assignment by their text."""
        thing = record("")
        thing.msg = ValueError("x")  # type: ignore[assignment]
        assert logs.Unexpected().filter(thing)


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Standard error under the worker's configuration of logging, which is undone afterwards."""
    names = ["", "app", "agents", "tables", "asyncio", "cassandra", "faust", "mode", "aiokafka"]
    loggers = [logging.getLogger(name) for name in names]
    before = [
        (logger, logger.level, logger.propagate, logger.handlers[:], logger.filters[:])
        for logger in loggers
    ]
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    logging.config.dictConfig(logs.config("INFO"))
    yield said
    for logger, level, propagate, handlers, filters in before:
        logger.setLevel(level)
        logger.propagate = propagate
        logger.handlers[:] = handlers
        logger.filters[:] = filters


class TestConfig:
    """The worker's configuration of logging."""

    def test_says_the_application_s_news_in_plain_lines(self, stderr: io.StringIO) -> None:
        """The application's INFO is a line of time, level and text."""
        logging.getLogger("app.kafka.watch").info("Kafka at %s is back", "a:9092")
        logging.getLogger("app.kafka.watch").debug("asked again")
        assert stderr.getvalue()[8:] == " INFO Kafka at a:9092 is back\n"

    def test_keeps_frameworks_quiet_below_errors(self, stderr: io.StringIO) -> None:
        """Faust, mode, asyncio and the clients say errors only, aiokafka not even those."""
        for name in ("faust.x", "mode.x", "asyncio", "cassandra.cluster"):
            logging.getLogger(name).warning("by the way")
        logging.getLogger("aiokafka.client").error("can't connect")
        assert stderr.getvalue() == ""

    def test_lets_a_framework_s_own_error_through(self, stderr: io.StringIO) -> None:
        """An error that is not about an absent Kafka is said with its traceback."""
        logging.getLogger("faust.agents").error("crashed", exc_info=raised(KeyError("x")))
        assert " ERROR crashed\nTraceback" in stderr.getvalue()

    def test_says_a_fault_once(self, stderr: io.StringIO) -> None:
        """What is said at every try appears once in a while."""
        for number in range(5):
            logging.getLogger("app.kafka.producer").warning("transaction failed: %s", number)
        assert stderr.getvalue().count("\n") == 1

    def test_shows_what_frameworks_do_for_debugging(
        self, stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """At DEBUG Faust's own news appear, its tables of partitions among them; not before."""
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
        said = [json.loads(line) for line in stderr.getvalue().splitlines()]
        assert [(line["level"], line["message"]) for line in said] == [
            ("info", "one"),
            ("error", "two"),
        ]
