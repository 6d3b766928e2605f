"""Workers as processes of their own, and what they say over HTTP."""

from __future__ import annotations

import http.client
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.embedded.process import Process

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ROOT", "faust", "get", "is_ready", "start_worker"]

ROOT = Path(__file__).parents[1]


def faust(*arguments: str, app: str = "app") -> list[str]:
    """The command `faust -A app …`, of this interpreter."""
    return [sys.executable, "-m", "faust", "-A", app, *arguments]


def start_worker(data: Path, log: Path, environ: Mapping[str, str], app: str = "app") -> Process:
    """Start a worker that keeps its rows in `data` and writes all it says to `log`."""
    # The path: so that a copy of the project tests itself, not the one that is installed.
    environ = {**environ, "PYTHONPATH": str(ROOT)}
    return Process(faust("--datadir", str(data), "worker", app=app), log, environ)


def get(
    url: str, seconds: float = 5.0, headers: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    """Status and body of an answer, JSON read; (0, None) if nobody answers."""
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 - http
    try:
        with urllib.request.urlopen(request, timeout=seconds) as response:  # noqa: S310 - http
            return response.status, _body(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _body(error)
    except (OSError, http.client.HTTPException):
        return 0, None


def is_ready(url: str, seconds: float = 2.0) -> bool:
    """Whether the worker at `url` says that it does its work."""
    return get(f"{url}/health/ready", seconds)[0] == 200


def _body(response: Any) -> Any:
    content = response.read()
    return json.loads(content) if "json" in response.headers["Content-Type"] else content.decode()
