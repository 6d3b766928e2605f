"""Starts workers as separate processes, sends them HTTP requests and signals."""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from app.embedded.ports import free_port
from app.embedded.process import Process
from app.queries.requests import bearer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["ROOT", "WorkerProcess", "environ_with", "faust"]

ROOT = Path(__file__).parents[1]


def faust(*arguments: str, app: str = "app", module: str = "faust") -> list[str]:
    """The command `faust -A app …`, run by this interpreter."""
    return [sys.executable, "-m", module, "-A", app, *arguments]


def environ_with(**more: str) -> dict[str, str]:
    """The environment of a child: this checkout on its path, no settings of the user."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WORDCOUNT_")}
    # PYTHONPATH: a copy of the project must test itself, not the installed project.
    return {**kept, "PYTHONPATH": str(ROOT), **more}


class WorkerProcess:
    """A worker as a process; it can be queried, paused, killed, stopped, and started again.

    Every start uses the same directory of rows (`data`), the same log and the same web port:
    WORDCOUNT_WEB_PORT of `settings`, else a free one. `app` is the module of the application,
    `module` the program that runs it.
    """

    def __init__(
        self,
        data: Path,
        log: Path,
        settings: Mapping[str, str],
        *,
        app: str = "app",
        module: str = "faust",
    ) -> None:
        self.data = data
        self.log = log
        self.port = int(settings.get("WORDCOUNT_WEB_PORT") or free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        self._environ = environ_with(**{**settings, "WORDCOUNT_WEB_PORT": str(self.port)})
        self._headers = bearer(settings.get("WORDCOUNT_WEB_TOKEN"))
        self._command = faust("--datadir", str(data), "worker", app=app, module=module)
        self._process: Process | None = None

    def start(self, **more: str) -> Self:
        """Start the process without waiting; `more` extends its environment for this start."""
        assert not self.running, "the worker runs already"
        self._process = Process(self._command, self.log, {**self._environ, **more})
        return self

    # Requests

    def get(self, path: str, seconds: float = 5.0, **headers: str) -> tuple[int, Any]:
        """Return status and body of an answer, JSON decoded; (0, None) if there is no answer."""
        request = urllib.request.Request(  # noqa: S310 - http
            self.url + path, headers={**self._headers, **headers}
        )
        try:
            with urllib.request.urlopen(request, timeout=seconds) as response:  # noqa: S310 - http
                return response.status, _body(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _body(error)
        except (OSError, http.client.HTTPException):
            return 0, None

    def json(self, path: str, seconds: float = 5.0) -> Any:
        """Return the JSON of an answer with status 200; None for any other answer."""
        status, body = self.get(path, seconds)
        return body if status == 200 else None

    @property
    def ready(self) -> bool:
        """Whether the worker reports itself ready."""
        return self.get("/health/ready")[0] == 200

    def wait_until(self, condition: Callable[[], Any], seconds: float = 120.0) -> Any:
        """Return the condition's value once it is true; fail if the worker ends before."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert self.running, f"the worker has ended:\n{self.output}"
            assert time.monotonic() < deadline, f"not in {seconds} s:\n{self.output}"
            time.sleep(0.05)
        return value

    def wait_until_ready(self, seconds: float = 120.0) -> None:
        """Wait until the worker reports itself ready; fail if it ends before."""
        self.wait_until(lambda: self.ready, seconds)

    # The process

    @property
    def pid(self) -> int:
        """The id of the process that was started last."""
        return self.process.pid

    @property
    def process(self) -> Process:
        """The process that was started last."""
        assert self._process is not None, "the worker has not been started"
        return self._process

    @property
    def running(self) -> bool:
        """Whether the process is alive; a paused process is."""
        return self._process is not None and self._process.running

    @property
    def exit_status(self) -> int | None:
        """Its exit status, minus the signal if one ended it; None while it is alive."""
        return None if self._process is None else self._process.exit_status

    @property
    def output(self) -> str:
        """The text of the log so far, that of earlier starts included."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def pause(self) -> None:
        """Suspend the process (SIGSTOP)."""
        self.process.pause()

    def resume(self) -> None:
        """Resume the process (SIGCONT)."""
        self.process.resume()

    def kill(self) -> None:
        """End the process at once (SIGKILL); has no effect on one that has ended."""
        if self.running:
            self.process.kill()

    def stop(self, seconds: float = 30.0) -> int:
        """End the process by SIGTERM, by SIGKILL after `seconds`; return its exit status."""
        self.process.terminate(seconds)
        return self.wait_for_end(0.0)

    def wait_for_end(self, seconds: float = 120.0) -> int:
        """Wait until the process has ended by itself; return its exit status."""
        deadline = time.monotonic() + seconds
        while (status := self.exit_status) is None:
            assert time.monotonic() < deadline, f"still runs after {seconds} s:\n{self.output}"
            time.sleep(0.05)
        return status


def _body(response: Any) -> Any:
    content = response.read()
    return json.loads(content) if "json" in response.headers["Content-Type"] else content.decode()
