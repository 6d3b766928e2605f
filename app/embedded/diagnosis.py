"""Explains in one line why a server ended."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.embedded.ports import is_free
from app.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["End", "explain", "no_space", "port_in_use"]

_NO_SPACE = re.compile(r"No space left on device|not enough space|Insufficient disk space")
_PORT_IN_USE = re.compile(r"Address already in use|BindException|is in use by another process")
_NO_MEMORY = re.compile(r"OutOfMemoryError|insufficient memory|Could not reserve enough space")
_NOISE = re.compile(r"\s+at |\s*\.\.\. \d+ |\s*$|Error: (Could not create the Java|A fatal exc)")
_HARMLESS = re.compile(r"(INFO|WARN|DEBUG)\b|WARNING:")
_ERROR = re.compile(r"^ERROR|Caused by:|Exception|Error\b|Invalid")
_LOG_PREFIX = re.compile(r"^\w+\s+\d{4}-\d\d-\d\d [\d:,]+ \w+\$? - ")


@dataclass(frozen=True, slots=True)
class End:
    """The end of a server: `when` as in "before it served", `text` is the server's output."""

    name: str
    when: str
    exit_status: int | None
    text: str


def explain(end: End, ports: Mapping[str, int], address: str) -> UnavailableError:
    """The error for a server that has ended. `ports` are by the parameter that sets them."""
    if (number := _signal(end.exit_status)) is not None:
        return UnavailableError(
            f"{end.name} was ended by {number.name} {end.when}; start it again, and check what "
            "ends processes on this machine: often a lack of memory"
        )
    if _NO_SPACE.search(end.text):
        return no_space(end.name)
    if _PORT_IN_USE.search(end.text):
        for parameter, port in ports.items():
            if not is_free(port, address):
                return port_in_use(end.name, parameter, port, address)
    line = _error_line(end.text)
    if _NO_MEMORY.search(end.text):
        return UnavailableError(
            f"{end.name} ran out of memory ({line}); "
            "give it a larger heap, or the machine more memory"
        )
    return UnavailableError(f"{end.name} ended {end.when}: {line}")


def _signal(exit_status: int | None) -> signal.Signals | None:
    if exit_status is None:
        return None
    # A JVM that a signal stopped exits as a shell does: with 128 plus the signal.
    number = -exit_status if exit_status < 0 else exit_status - 128
    return signal.Signals(number) if number in set(signal.Signals) else None


def no_space(name: str) -> UnavailableError:
    """The error for a full disk."""
    return UnavailableError(
        f"{name} has no space left on the disk of its data; "
        "make room, or choose a data directory on a larger disk"
    )


def port_in_use(name: str, parameter: str, port: int, address: str) -> UnavailableError:
    """The error for a port that is taken; `parameter` as in "port" or "storage port"."""
    return UnavailableError(
        f"{name} can't listen on {address}:{port}: the port is in use; "
        f"stop what uses it, or choose another {parameter}"
    )


def _error_line(text: str) -> str:
    """The last line that reports an error, or else the last line."""
    lines = [line for line in text.splitlines() if not _NOISE.match(line)]
    errors = [line for line in lines if _ERROR.search(line) and not _HARMLESS.match(line)]
    line = (errors or lines or ["it wrote nothing"])[-1]
    return _LOG_PREFIX.sub("", line).strip()[:300]
