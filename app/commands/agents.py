"""`faust -A app agents`: Faust's own command, with the agents that read no topic."""

from __future__ import annotations

from faust.cli import agents as stock
from faust.cli.base import option

__all__ = ["agents"]


class agents(stock.agents):  # noqa: N801 - the class's name is the command's
    """List the agents: what they read, and what they do."""

    # By default Faust hides agents of a local channel, and with them the flush.
    options = [  # noqa: RUF012 - as Faust's
        option(
            "--local/--no-local", default=True, help="Include agents that read a local channel."
        ),
    ]
