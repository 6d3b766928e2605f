"""The error for a missing package names the package and its extra."""

import pytest

from app.errors import UnavailableError
from app.sources.extras import extra


def test_a_missing_package_names_its_extra() -> None:
    """The error contains the command that installs it."""
    with (
        pytest.raises(
            UnavailableError,
            match=r"no_such_package is missing.*pip install 'wordcount-stream\[zeromq\]'",
        ),
        extra("zeromq"),
    ):
        import no_such_package  # type: ignore[import-not-found]  # noqa: F401 - missing by intent
