"""The application: `faust -A app worker` finds `app.app` here.

The first access makes `app.app` (app/composition.py). So importing a part, as in
`from app.settings import …`, makes no application.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.worker.application import Application

    app: Application

__all__ = ["app", "create_app"]


def create_app(environ: Mapping[str, str] = os.environ) -> Application:
    """Compose the application from the settings in `environ`. Raises ConfigurationError."""
    from app.composition import compose_app
    from app.settings import Settings

    return compose_app(Settings.read(environ))


def _add_commands() -> None:
    from faust.cli.base import cli

    from app.commands import COMMANDS
    from app.commands.agents import agents as _agents  # noqa: F401 - defining it registers it
    from app.commands.worker import worker as _worker  # noqa: F401 - defining it registers it

    for command in COMMANDS:
        cli.add_command(command)


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from app.errors import WordCountError, end_with

    try:
        application = create_app()
    except WordCountError as error:
        end_with(error)
    _add_commands()
    globals()["app"] = application
    return application
