"""The driver's log: one line a fault, and the same fault once a minute."""

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
_QUIET_S = 60.0
_RAISED_AS_WELL = ("Control connection failed to connect", "Error preparing query")
# Cassandra warns of batches over partitions; those of one set of replicas are written on purpose.
_CHOSEN = "Unlogged batch covering"


class _OneLine(logging.Filter):
    """Cuts tracebacks off the driver's records and lets each kind of them pass once a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._next_at: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        message = record.getMessage()
        if message.startswith(_RAISED_AS_WELL) or _CHOSEN in message:
            return False
        kind = (record.name, str(record.msg))
        now = time.monotonic()
        with self._lock:
            if now < self._next_at.get(kind, 0.0):
                return False
            self._next_at[kind] = now + _QUIET_S
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            line = f"{message.rstrip(': ')}: {error}"
            record.msg, record.args = line.replace("\n", " "), None
        record.exc_info = record.exc_text = None
        return True


_one_line = _OneLine()


def quieten_driver() -> None:
    """Make cassandra-driver's loggers print one line instead of a traceback, and not in floods.

    An outage makes the driver log every try to reconnect; what matters of it is reported by the
    writer's results. Levels are left alone, so that DEBUG still shows what happened when.
    """
    for name in _LOGGERS:
        logger = logging.getLogger(f"cassandra.{name}")
        if _one_line not in logger.filters:
            logger.addFilter(_one_line)
