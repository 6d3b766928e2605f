"""The process of a peer: it can be killed and restarted on its port, and logs its requests."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

from app.embedded.ports import free_port
from app.embedded.process import Process

__all__ = ["Peer"]


class Peer:
    """One of this folder's servers, on a port that it keeps."""

    def __init__(self, script: str, folder: Path) -> None:
        self._script = Path(__file__).with_name(script)
        self._folder = folder
        self.port = free_port()
        self._process: Process | None = None

    def start(
        self, number: int, *, rate: float = 0, acts: list[dict[str, Any]] | None = None
    ) -> None:
        """Serve `number` posts, more after `serve`; return once the server listens."""
        self.serve(number)
        files = [str(self._folder / name) for name in ("requests", "posts")]
        arguments = [str(self.port), *files, str(rate), json.dumps(acts or [])]
        self._process = Process(
            [sys.executable, str(self._script), *arguments],
            self._folder / "peer.log",
            dict(os.environ),
        )
        deadline = time.monotonic() + 30
        while True:
            assert self._process.running, (self._folder / "peer.log").read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < deadline, "the peer does not listen"
                time.sleep(0.02)
            else:
                return

    def serve(self, number: int) -> None:
        """Raise the number of posts to `number`."""
        written = self._folder / "posts.new"
        written.write_text(str(number))
        written.replace(self._folder / "posts")

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The requests that the server received, in order."""
        log = self._folder / "requests"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def kill(self) -> None:
        """Kill the process if it is running (SIGKILL)."""
        if self._process is not None and self._process.running:
            self._process.kill()
