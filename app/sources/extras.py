"""Imports of packages that only one source needs, with an error that names the extra."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["extra"]


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Import packages of an optional extra in the body.

    Raises UnavailableError, which names the extra, if a package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"the package {error.name} is missing; install it with: "
            f"pip install 'wordcount-stream[{name}]'"
        ) from None
