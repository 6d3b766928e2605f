"""The errors of the application; each message is one line that names the thing and the remedy."""

from __future__ import annotations

import json
import sys
from typing import NoReturn

from app.times import iso, now_ms

__all__ = [
    "ConfigurationError",
    "UnavailableError",
    "WordCountError",
    "end_with",
    "exit_status",
    "print_error",
]


class WordCountError(Exception):
    """Base of every error that stops a command with one clear line.

    The message is one line and names the thing that is wrong and the remedy. `exit_status` is the
    status of the process.
    """

    exit_status = 1


class ConfigurationError(WordCountError):
    """A setting, an option, a topic or a table of the user does not fit."""

    exit_status = 2


class UnavailableError(WordCountError):
    """A resource outside this process is missing or refuses: a server, a port, a disk."""


def exit_status(error: BaseException) -> int:
    """The status of a process that `error` has stopped."""
    return error.exit_status if isinstance(error, WordCountError) else 1


def print_error(error: BaseException, *, as_json: bool = False) -> None:
    """Print the line of an error that stops the process to standard error."""
    line = f"Error: {error}"
    if as_json:
        now = iso(now_ms(), with_ms=True)
        line = json.dumps({"time": now, "level": "error", "logger": "app", "message": str(error)})
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the logging may be closed already


def end_with(error: BaseException, *, as_json: bool = False) -> NoReturn:
    """Print the error and end the process with its status."""
    print_error(error, as_json=as_json)
    sys.exit(exit_status(error))
