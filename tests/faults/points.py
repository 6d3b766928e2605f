"""Named points at which the fault tests kill or halt a worker from inside, or lose its blocks.

`FAULTPOINTS=writer.sent:3` kills the worker when it reaches that point for the third time.
`FAULTPOINTS=writer.sent:3:SIGSTOP` halts it there. `FAULTPOINTS=blocks.fed:3` loses the third block
that passes the point. Without the variable nothing happens.
"""

from __future__ import annotations

import os
import signal
import threading

__all__ = ["lost", "reached"]


def _armed(text: str) -> dict[str, tuple[int, signal.Signals]]:
    points = {}
    for point in filter(None, text.split(",")):
        name, times, *rest = point.split(":")
        points[name] = (int(times), signal.Signals[rest[0] if rest else "SIGKILL"])
    return points


_points = _armed(os.environ.get("FAULTPOINTS", ""))
_lock = threading.Lock()  # points in a table are reached in threads


def reached(name: str) -> None:
    """Send the signal of the point `name` if it has been reached often enough."""
    if _is_due(name):
        os.kill(os.getpid(), _points[name][1])


def lost(name: str) -> bool:
    """Whether the block that passes the point `name` is to get lost there."""
    return _is_due(name)


def _is_due(name: str) -> bool:
    if name not in _points:
        return False
    with _lock:
        left, sent = _points[name]
        _points[name] = (left - 1, sent)
    return left == 1
