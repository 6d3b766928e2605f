"""`faust -A app completion SHELL`: what lets a shell complete this application's commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from app.commands.errors import WordCountCommand

__all__ = ["completion"]

VARIABLE = "_FAUST_COMPLETE"
"""How a shell asks `faust` for completions, as click has it."""

CALLS = {
    "bash": f"{VARIABLE}=bash_complete $1",
    "zsh": f"{VARIABLE}=zsh_complete faust",
    "fish": "COMP_CWORD=(commandline -t) faust",
}
"""Where click's scripts call `faust`."""

# Asked without -A, Faust knows its own commands only. What goes wrong is no use in a prompt.
ASKED = "faust -A app 2>/dev/null"


@click.command(cls=WordCountCommand)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for a SHELL.

    \b
    bash, in ~/.bashrc:  eval "$(faust -A app completion bash)"
    zsh, in ~/.zshrc:    eval "$(faust -A app completion zsh)"
    fish:  faust -A app completion fish > ~/.config/fish/completions/faust.fish
    """  # noqa: D301 - click's mark for lines that stay as they are
    click.echo(script(shell))


def script(shell: str) -> str:
    """Click's own script, whose calls of `faust` name the application."""
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - click knows all that may be chosen
    source = found.source_template % found(click.Group(), {}, "faust", VARIABLE).source_vars()
    before, _, name = CALLS[shell].rpartition(" ")
    return source.replace(f"{before} {name}", f"{before} {ASKED}")
