"""Limits the log of the driver to one line a fault, and the same fault once a minute."""

from __future__ import annotations

import logging
import threading
import time

__all__ = ["quieten_driver"]

_LOGGERS = (
    "cluster",
    "connection",
    "policies",
    "pool",
    "metadata",
    "query",
    "protocol",
    "util",
    "io.libevreactor",
    "io.asyncorereactor",
    "io.asyncioreactor",
)
# RepeatFilter in app/logs.py passes a message every 10 s. That is too often for a driver that may
# try to reconnect for hours.
_QUIET_SECONDS = 60.0
_RAISED_AS_WELL = ("Control connection failed to connect", "Error preparing query")
# Cassandra warns of batches over several partitions. The writer sends such batches on purpose:
# their rows have the same replicas.
_INTENDED = "Unlogged batch covering"


class _DriverLogFilter(logging.Filter):
    """Removes tracebacks from the driver's records and passes each kind of record once a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._next_at: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        message = record.getMessage()
        if message.startswith(_RAISED_AS_WELL) or _INTENDED in message:
            return False
        # The message before its values are filled in: one kind for all nodes and attempts.
        kind = (record.name, str(record.msg))
        now = time.monotonic()
        with self._lock:
            if now < self._next_at.get(kind, 0.0):
                return False
            self._next_at[kind] = now + _QUIET_SECONDS
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            line = f"{message.rstrip(': ')}: {error}"
            record.msg, record.args = line.replace("\n", " "), None
        record.exc_info = record.exc_text = None
        return True


def quieten_driver() -> None:
    """Make the loggers of cassandra-driver print one line instead of a traceback, once a minute.

    During an outage the driver logs every attempt to reconnect; the results of the writer report
    the outage anyway. Levels stay unchanged, so that DEBUG still shows every step.
    """
    for name in _LOGGERS:
        logger = logging.getLogger(f"cassandra.{name}")
        if not any(isinstance(known, _DriverLogFilter) for known in logger.filters):
            logger.addFilter(_DriverLogFilter())
