"""The application: `faust -A app worker` finds `app.app` here.

This is the composition root, the one place where real parts are put together. `app.app` is made
when it is first asked for, so that importing a part (`from app.text import …`) makes no application.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import faust

    app: faust.App

__all__ = ["app", "create_app"]


def create_app(environ: os._Environ[str] | dict[str, str] = os.environ) -> faust.App:
    """Put the parts together by the settings in `environ`. Raises ConfigurationError."""
    import faust
    from faust.cli.base import cli

    from app.commands import COMMANDS
    from app.settings import Settings

    settings = Settings.read(environ)
    for command in COMMANDS:
        cli.add_command(command)
    return faust.App(settings.id, broker=f"kafka://{';'.join(settings.broker)}")


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from app.errors import WordCountError

    try:
        application = create_app()
    except WordCountError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(error.exit_status) from None
    globals()["app"] = application
    return application
