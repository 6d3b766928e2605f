"""Says in one line why a server ended before it served."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

from app.embedded.ports import is_free
from app.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["explain", "port_in_use"]

_NO_SPACE = re.compile(r"No space left on device|not enough space|Insufficient disk space")
_PORT_IN_USE = re.compile(r"Address already in use|BindException|is in use by another process")
_NO_MEMORY = re.compile(r"OutOfMemoryError|insufficient memory|Could not reserve enough space")
_STACK = re.compile(r"\s+at |\s*\.\.\. \d+ |\s*$")
_BOILERPLATE = re.compile(r"Error: (Could not create the Java|A fatal exception)")
_ERROR = re.compile(r"ERROR|FATAL|Caused by:|Exception|Error\b|Invalid")
_LOG_PREFIX = re.compile(r"^(\w+)\s+\d{4}-\d\d-\d\d [\d:,]+ ")


def explain(
    name: str, text: str, ports: Iterable[tuple[str, int]], address: str, exit_status: int | None
) -> UnavailableError:
    """The error for a server that ended with `exit_status` after it wrote `text`.

    `ports` are (parameter that sets it, port).
    """
    if _NO_SPACE.search(text):
        return UnavailableError(
            f"{name} found no space left on the disk of its data; "
            "make room, or name a data directory on a larger disk"
        )
    if _PORT_IN_USE.search(text):
        for parameter, port in ports:
            if not is_free(port, address):
                return port_in_use(name, parameter, port, address)
    if _NO_MEMORY.search(text):
        return UnavailableError(
            f"{name} ran out of memory: {_telling_line(text)}; give it a larger heap, or the "
            "machine more memory"
        )
    if exit_status is not None and exit_status < 0 and not _ERROR.search(text):
        return UnavailableError(
            f"{name} was killed ({signal.Signals(-exit_status).name}) before it served; "
            "start it again, and look for what kills processes here: often too little memory"
        )
    return UnavailableError(f"{name} ended before it served: {_telling_line(text)}")


def port_in_use(name: str, parameter: str, port: int, address: str) -> UnavailableError:
    """The error for a port that is taken."""
    return UnavailableError(
        f"{name} can't listen on {address}:{port}: the port is in use; "
        f"stop what uses it, or name another {parameter}"
    )


def _telling_line(text: str) -> str:
    """The last line that speaks of an error, else the last one."""
    lines = [
        line
        for line in text.splitlines()
        if not _STACK.match(line) and not _BOILERPLATE.match(line)
    ]
    errors = [line for line in lines if _ERROR.search(line)]
    line = (errors or lines or ["it wrote nothing"])[-1]
    return _LOG_PREFIX.sub("", line).strip()[:300]
