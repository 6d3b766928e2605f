"""How a command ends with an error."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from app.commands.errors import WordCountCommand
from app.errors import ConfigurationError, UnavailableError


@pytest.mark.parametrize(("kind", "status"), [(ConfigurationError, 2), (UnavailableError, 1)])
def test_an_error_is_one_line_and_its_status(
    kind: type[ConfigurationError | UnavailableError], status: int
) -> None:
    """A WordCountError becomes `Error: …` on stderr and its exit status, without a traceback."""

    @click.command(cls=WordCountCommand)
    def command() -> None:
        raise kind("the thing: the remedy")

    result = CliRunner().invoke(command)
    assert result.exit_code == status
    assert result.stderr == "Error: the thing: the remedy\n"
    assert result.stdout == ""
