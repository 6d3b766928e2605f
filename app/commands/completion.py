"""`faust -A app completion SHELL`: prints a script that completes commands in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from app.commands.errors import WordCountCommand

__all__ = ["completion"]

VARIABLE = "_FAUST_COMPLETE"
"""The variable by which a shell requests completions from `faust`, by click."""

CALLS = {
    "bash": f"{VARIABLE}=bash_complete $1",
    "zsh": f"{VARIABLE}=zsh_complete faust",
    "fish": "COMP_CWORD=(commandline -t) faust",
}
"""The calls of `faust` in the scripts of click."""

# Without -A, Faust completes only its own commands. Errors would only disturb the prompt.
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
