"""Loads classes of the user by MODULE:CLASS."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TypeVar

from app.errors import ConfigurationError

__all__ = ["load_class", "make"]

T = TypeVar("T")


def load_class(name: str, base: type[T]) -> type[T]:
    """Import the class of this name; the current directory is searched first.

    Raises ConfigurationError, also for a class that is no subclass of `base`.
    """
    module_name, _, class_name = name.partition(":")
    if not module_name or not class_name:
        raise ConfigurationError(f"{name} is not of the form MODULE:CLASS")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except AttributeError:
        raise ConfigurationError(f"{module_name} has no class {class_name}") from None
    except Exception as error:
        raise ConfigurationError(
            f"{module_name} can't be imported: {type(error).__name__}: {error}"
        ) from None
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigurationError(f"{name} is no subclass of {base.__module__}.{base.__name__}")
    return found


def make(found: type[T], arguments: tuple[str, ...]) -> T:
    """Create an object of the class. Raises ConfigurationError if it refuses the arguments."""
    try:
        return found(*arguments)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{found.__name__} refuses the arguments {arguments!r}: {error}"
        ) from None
