"""Named places at which the fault tests end, or halt, a worker from inside.

`FAULTPOINTS=writer.sent:3` kills the worker as it reaches that place for the third time;
`FAULTPOINTS=writer.sent:3:SIGSTOP` halts it there. `FAULTPOINTS=blocks.fed:3` loses the third block
that comes by there. Without the variable nothing happens.
"""

from __future__ import annotations

import os
import signal

__all__ = ["lost", "reached"]


def _armed(text: str) -> dict[str, tuple[int, signal.Signals]]:
    points = {}
    for point in filter(None, text.split(",")):
        name, times, *rest = point.split(":")
        points[name] = (int(times), signal.Signals[rest[0] if rest else "SIGKILL"])
    return points


_points = _armed(os.environ.get("FAULTPOINTS", ""))


def reached(name: str) -> None:
    """Say that the code is at the place `name`."""
    if name in _points:
        left, sent = _points[name]
        _points[name] = (left - 1, sent)
        if left == 1:
            os.kill(os.getpid(), sent)


def lost(name: str) -> bool:
    """Whether what is on its way at the place `name` is to get lost there."""
    if name not in _points:
        return False
    left, sent = _points[name]
    _points[name] = (left - 1, sent)
    return left == 1
