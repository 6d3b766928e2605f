"""What can go wrong, as classes whose one-line message names the thing and the remedy."""

from __future__ import annotations

__all__ = ["ConfigurationError", "UnavailableError", "WordCountError"]


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
