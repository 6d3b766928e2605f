"""Logging to stderr as plain or JSON lines, with Faust and the clients quiet unless they fail.

The application itself logs once that Kafka is away (app/kafka/watch.py). Its clients would log it
at every retry, and Faust with a traceback.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any, Literal

from aiokafka.errors import KafkaError

from app.errors import WordCountError
from app.times import iso

__all__ = ["config"]

REPEAT_SECONDS = 10.0
"""Within this time the same message is logged once."""

MAX_REMEMBERED = 1000
"""Maximum number of messages whose last time is remembered."""


class LineFormatter(logging.Formatter):
    """Formats time, level and message; an expected error is one line without a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, WordCountError):
            record.exc_info = record.exc_text = None
        return super().format(record)


class JsonFormatter(logging.Formatter):
    """Formats one JSON object a line: time (ISO 8601 with Z), level, logger, message, any error."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        fields = {
            "time": iso(int(record.created * 1000), with_ms=True),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and not isinstance(record.exc_info[1], WordCountError):
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


class RepeatFilter(logging.Filter):
    """Passes a message once per interval, with the number of its suppressed repeats."""

    def __init__(self) -> None:
        super().__init__()
        self._logged: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log `record`."""
        place = (record.name, record.lineno, str(record.msg))
        if len(self._logged) > MAX_REMEMBERED:  # some libraries format values into the message
            self._logged.clear()
        last, suppressed = self._logged.get(place, (-REPEAT_SECONDS, 0))
        now = time.monotonic()
        if now - last < REPEAT_SECONDS:
            self._logged[place] = (last, suppressed + 1)
            return False
        self._logged[place] = (now, 0)
        if suppressed:
            record.msg = f"{record.msg} ({suppressed} more like it since the last)"
        return True


class ExpectedFilter(logging.Filter):
    """Suppresses records of frameworks about an absent Kafka; the application logs that itself.

    Also suppresses records about cancelled tasks: Faust cancels its agents at each rebalance.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether `record` is unexpected, and so must be logged."""
        text = str(record.msg)  # some libraries log an exception as the message
        error = record.exc_info[1] if record.exc_info else None
        expected = isinstance(error, (KafkaError, WordCountError, asyncio.CancelledError))
        return (
            not expected and "KafkaError" not in text and "Reraising original exception" not in text
        )


def config(level: str, form: Literal["plain", "json"] = "plain") -> dict[str, Any]:
    """A configuration for logging.config.dictConfig; `level` applies to the application's loggers.

    Frameworks log errors only, unless `level` is DEBUG: Faust's INFO lines are large tables.
    """
    own = {"level": level, "propagate": True}
    debug = level == "DEBUG"
    framework = {
        "level": "INFO" if debug else "ERROR",
        "filters": ["expected"],
        "propagate": True,
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": LineFormatter,
                "format": "%(asctime)s %(levelname)s %(message)s",
                "datefmt": "%H:%M:%S",
            },
            "json": {"()": JsonFormatter},
        },
        "filters": {"repeats": {"()": RepeatFilter}, "expected": {"()": ExpectedFilter}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "json" if form == "json" else "line",
                "filters": ["repeats", "expected"],
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            **dict.fromkeys(("app", "agents", "tables"), own),
            **dict.fromkeys(("asyncio", "cassandra", "faust", "mode"), framework),
            "aiokafka": {"level": "WARNING" if debug else "CRITICAL", "propagate": True},
        },
    }
