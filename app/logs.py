"""Logging: lines on stderr, plain or JSON; Faust and the clients are quiet unless things go wrong.

That Kafka is away, the application says itself, once (app/kafka/watch.py). Its clients would say it
at every try, and Faust with a traceback.
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
"""The same message is not said again within this time."""

REMEMBERED = 1000
"""Most messages that are known as said."""


class OneLine(logging.Formatter):
    """Time, level, message; an expected error as its one line, without a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, WordCountError):
            record.exc_info = record.exc_text = None
        return super().format(record)


class JsonLine(logging.Formatter):
    """One JSON object a line: time (ISO 8601 with Z), level, logger, message, error if there is."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        said = {
            "time": iso(int(record.created * 1000), with_ms=True),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and not isinstance(record.exc_info[1], WordCountError):
            said["error"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False)


class Seldom(logging.Filter):
    """Lets a message through once in a while, and then says how often it was held back."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to say `record`."""
        place = (record.name, record.lineno, str(record.msg))
        if len(self._said) > REMEMBERED:  # libraries put what changes into the message itself
            self._said.clear()
        last, held = self._said.get(place, (-REPEAT_SECONDS, 0))
        now = time.monotonic()
        if now - last < REPEAT_SECONDS:
            self._said[place] = (last, held + 1)
            return False
        self._said[place] = (now, 0)
        if held:
            record.msg = f"{record.msg} (and {held} times like it)"
        return True


class Unexpected(logging.Filter):
    """Holds back what frameworks say of an absent Kafka, which the application says itself.

    Also of tasks that were cancelled: Faust does that to its agents at each rebalance.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether `record` is about anything else."""
        text = str(record.msg)  # some log an exception as the message
        error = record.exc_info[1] if record.exc_info else None
        known = isinstance(error, (KafkaError, WordCountError, asyncio.CancelledError))
        return not known and "KafkaError" not in text and "Reraising original exception" not in text


def config(level: str, form: Literal["plain", "json"] = "plain") -> dict[str, Any]:
    """A configuration for logging.config.dictConfig; `level` is that of the application's own.

    Frameworks say errors only, unless `level` is DEBUG: Faust's news are tables of partitions.
    """
    own = {"level": level, "propagate": True}
    debug = level == "DEBUG"
    framework = {
        "level": "INFO" if debug else "ERROR",
        "filters": ["unexpected"],
        "propagate": True,
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": OneLine,
                "format": "%(asctime)s %(levelname)s %(message)s",
                "datefmt": "%H:%M:%S",
            },
            "json": {"()": JsonLine},
        },
        "filters": {"seldom": {"()": Seldom}, "unexpected": {"()": Unexpected}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "json" if form == "json" else "line",
                "filters": ["seldom", "unexpected"],
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
