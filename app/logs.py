"""Logging: plain lines on stderr, Faust and the clients quiet unless something is wrong."""

from __future__ import annotations

import logging
from typing import Any

from app.errors import WordCountError

__all__ = ["config"]

_NOISY = (
    # Says at error level what is retried and then said by this application.
    "aiokafka",
    "asyncio",
    "cassandra",
    "faust",
    "mode",
)


class OneLine(logging.Formatter):
    """Time, level, message; an expected error as its one line, without a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, WordCountError):
            record.exc_info = record.exc_text = None
        return super().format(record)


def config(level: str) -> dict[str, Any]:
    """A configuration for logging.config.dictConfig; `level` is that of the application's own."""
    own = {"level": level, "propagate": True}
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
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            **dict.fromkeys(("app", "agents", "tables"), own),
            **{name: {"level": "ERROR", "propagate": True} for name in _NOISY},
        },
    }
