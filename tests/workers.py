"""Starts workers as separate processes and sends them HTTP requests."""

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
    """The command `faust -A app …`, run by this interpreter."""
    return [sys.executable, "-m", "faust", "-A", app, *arguments]


def start_worker(data: Path, log: Path, environ: Mapping[str, str], app: str = "app") -> Process:
    """Start a worker that keeps its rows in `data` and writes its output to `log`."""
    # PYTHONPATH: a copy of the project must test itself, not the installed project.
    environ = {**environ, "PYTHONPATH": str(ROOT)}
    return Process(faust("--datadir", str(data), "worker", app=app), log, environ)


def get(
    url: str, seconds: float = 5.0, headers: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    """Return status and body of an answer, JSON decoded; (0, None) if there is no answer."""
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
    """Whether the worker at `url` reports itself ready."""
    return get(f"{url}/health/ready", seconds)[0] == 200


def _body(response: Any) -> Any:
    content = response.read()
    return json.loads(content) if "json" in response.headers["Content-Type"] else content.decode()
