"""Reads WORDCOUNT_* variables from the environment and from a file into the values of fields."""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from app.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["PREFIX", "read_values", "setting"]

PREFIX = "WORDCOUNT_"
ENV_FILE = PREFIX + "ENV_FILE"


def setting(variable: str, default: str | None, parse: Callable[[str], Any], help_text: str) -> Any:
    """Declare a field of a settings class: its variable, default, parser and help text.

    `default` is text, as a user would write it; None means that the field is None.
    """
    return dataclasses.field(
        repr=not _is_secret(variable),
        metadata={
            "variable": PREFIX + variable,
            "default": default,
            "parse": parse,
            "help": help_text,
        },
    )


def read_values(
    fields: Sequence[dataclasses.Field[Any]], environ: Mapping[str, str]
) -> dict[str, Any]:
    """Read the value of each field, by its name. See `Settings.read`."""
    given = {name: _Given(text) for name, text in environ.items() if name.startswith(PREFIX)}
    env_file = given.pop(ENV_FILE, _Given("")).text
    if env_file:
        given = {**_read_env_file(env_file), **given}
    _refuse_unknown(given, [field.metadata["variable"] for field in fields])
    return {field.name: _value(field.metadata, given) for field in fields}


class _Given(NamedTuple):
    """The text of a variable, and its place in a file; in the environment the place is empty."""

    text: str
    place: str = ""


def _is_secret(variable: str) -> bool:
    return variable.endswith(("PASSWORD", "TOKEN"))


def _read_env_file(name: str) -> dict[str, _Given]:
    try:
        text = Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{ENV_FILE}={name}: cannot be read: {error}") from None
    given = {}
    for number, line in enumerate(text.splitlines(), 1):
        assignment = line.strip().removeprefix("export ")
        if not assignment or assignment.startswith("#"):
            continue
        place = f"{name}, line {number}: "
        variable, separator, value = assignment.partition("=")
        if not separator or not variable.startswith(PREFIX) or variable == ENV_FILE:
            # Do not show the line: it may hold a password.
            raise ConfigurationError(f"{place}is not WORDCOUNT_NAME=value")
        given[variable.strip()] = _Given(_unquoted(value.strip()), place)
    return given


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def _refuse_unknown(given: Mapping[str, _Given], known: list[str]) -> None:
    for variable, (_, place) in given.items():
        if variable not in known:
            # Compare without the prefix, which would make any two names similar.
            names = {name.removeprefix(PREFIX): name for name in known}
            near = difflib.get_close_matches(variable.removeprefix(PREFIX).upper(), names, 1)
            hint = (
                f"did you mean {names[near[0]]}?"
                if near
                else "see the table of settings in README.md"
            )
            raise ConfigurationError(f"{place}{variable}: there is no such setting; {hint}")


def _value(metadata: Mapping[str, Any], given: Mapping[str, _Given]) -> Any:
    variable = metadata["variable"]
    text, place = given.get(variable, _Given(""))
    text = text or metadata["default"]
    if text is None:
        return None
    try:
        return cast("Callable[[str], Any]", metadata["parse"])(text)
    except ValueError as error:
        shown = "***" if _is_secret(variable) else text
        raise ConfigurationError(f"{place}{variable}={shown}: {error}") from None
