"""What can go wrong, as classes whose one-line message names the thing and the remedy."""

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
    "say",
]


class WordCountError(Exception):
    """Base of every error that stops a command with one clear line.

    The message is one line and names the thing that is wrong and the remedy. `exit_status` is what
    the process ends with.
    """

    exit_status = 1


class ConfigurationError(WordCountError):
    """Something the user set or made does not fit: a setting, an option, a topic, a table."""

    exit_status = 2


class UnavailableError(WordCountError):
    """Something outside this process is missing or refuses: a server, a port, a disk."""


def exit_status(error: BaseException) -> int:
    """What a process ends with that `error` has stopped."""
    return error.exit_status if isinstance(error, WordCountError) else 1


def say(error: BaseException, *, as_json: bool = False) -> None:
    """Write the one line of an error that stops the process to standard error."""
    line = f"Error: {error}"
    if as_json:
        now = iso(now_ms(), with_ms=True)
        line = json.dumps({"time": now, "level": "error", "logger": "app", "message": str(error)})
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the last line


def end_with(error: BaseException, *, as_json: bool = False) -> NoReturn:
    """Say the error and end the process with its status."""
    say(error, as_json=as_json)
    sys.exit(exit_status(error))
