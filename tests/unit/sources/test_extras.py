"""A package that is not installed is named together with the extra that brings it."""

import pytest

from app.errors import UnavailableError
from app.sources.extras import extra


def test_a_missing_package_names_its_extra() -> None:
    """The line can be pasted into a shell."""
    with (
        pytest.raises(
            UnavailableError,
            match=r"no_such_package is missing.*pip install 'wordcount-stream\[zeromq\]'",
        ),
        extra("zeromq"),
    ):
        import no_such_package  # noqa: F401 # type: ignore[import-not-found] - so it should be
