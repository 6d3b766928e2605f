"""Logging: plain lines on stderr; Faust and the clients are quiet unless something is wrong.

That Kafka is away, the application says itself, once (app/kafka/watch.py). Its clients would say it
at every try, and Faust with a traceback.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from aiokafka.errors import KafkaError

from app.errors import WordCountError

__all__ = ["config"]

REPEAT_SECONDS = 10.0
"""The same message is not said again within this time."""


class OneLine(logging.Formatter):
    """Time, level, message; an expected error as its one line, without a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, WordCountError):
            record.exc_info = record.exc_text = None
        return super().format(record)


class Seldom(logging.Filter):
    """Lets a message through once in a while, and then says how often it was held back."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to say `record`."""
        place = (record.name, record.lineno, str(record.msg))
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
    """Holds back what frameworks say of an absent Kafka, which the application says itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether `record` is about anything else."""
        text = str(record.msg)  # some log an exception as the message
        error = record.exc_info[1] if record.exc_info else None
        kafka = isinstance(error, (KafkaError, WordCountError)) or "KafkaError" in text
        return not kafka and "Reraising original exception" not in text


def config(level: str) -> dict[str, Any]:
    """A configuration for logging.config.dictConfig; `level` is that of the application's own."""
    own = {"level": level, "propagate": True}
    framework = {"level": "ERROR", "filters": ["unexpected"], "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": OneLine,
                "format": "%(asctime)s %(levelname)s %(message)s",
                "datefmt": "%H:%M:%S",
            }
        },
        "filters": {"seldom": {"()": Seldom}, "unexpected": {"()": Unexpected}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["seldom", "unexpected"],
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            **dict.fromkeys(("app", "agents", "tables"), own),
            **dict.fromkeys(("asyncio", "cassandra", "faust", "mode"), framework),
            "aiokafka": {"level": "CRITICAL", "propagate": True},
        },
    }
