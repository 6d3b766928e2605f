"""A real Apache Flume agent: a spooling directory, a file channel, a Thrift sink."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from app.embedded.java import find_java
from app.embedded.process import Process
from tests.peers.jars import FLUME, jars_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FlumeAgent"]

_FLAGS = ("-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class FlumeAgent:
    """An agent that sends the lines of files put into its directory to a port of this machine.

    Its events carry the headers file and basename; its channel survives kill -9.
    """

    def __init__(
        self, folder: Path, port: int, *, batch: int = 500, timeout_ms: int = 20_000
    ) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.spool.mkdir(parents=True)
        self.port = port
        self._settings = {
            "sources": "spool",
            "channels": "kept",
            "sinks": "thrift",
            "sources.spool.type": "spooldir",
            "sources.spool.spoolDir": str(self.spool),
            "sources.spool.channels": "kept",
            "sources.spool.batchSize": "1000",
            "sources.spool.basenameHeader": "true",
            "sources.spool.pollDelay": "50",
            "channels.kept.type": "file",
            "channels.kept.checkpointDir": str(folder / "checkpoint"),
            "channels.kept.dataDirs": str(folder / "data"),
            "channels.kept.capacity": "200000",
            "sinks.thrift.type": "thrift",
            "sinks.thrift.channel": "kept",
            "sinks.thrift.hostname": "127.0.0.1",
            "sinks.thrift.port": str(port),
            "sinks.thrift.batch-size": str(batch),
            "sinks.thrift.request-timeout": str(timeout_ms),
        }
        self._process: Process | None = None

    def start(self, **settings: str) -> FlumeAgent:
        """Start it, with other settings by their names with `_` for `.`, and go on."""
        changed = {name.replace("__", "-").replace("_", "."): v for name, v in settings.items()}
        configuration = self.folder / "agent.properties"
        configuration.write_text(
            "".join(f"a.{name} = {value}\n" for name, value in (self._settings | changed).items())
        )
        classpath = os.pathsep.join(map(str, jars_of(FLUME)))
        command = [str(find_java()), *_FLAGS, "-cp", classpath]
        command += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        command += ["org.apache.flume.node.Application", "-n", "a", "-f", str(configuration)]
        self._process = Process(
            [*command, "--no-reload-conf"], self.folder / "agent.log", dict(os.environ)
        )
        return self

    def put(self, name: str, text: bytes) -> None:
        """Give it a file to send, whole at once."""
        written = self.folder / name
        written.write_bytes(text)
        written.rename(self.spool / name)

    @property
    def sent(self) -> list[str]:
        """Names of the files that are in its channel to the last line."""
        return sorted(
            path.name.removesuffix(".COMPLETED") for path in self.spool.glob("*.COMPLETED")
        )

    @property
    def said(self) -> str:
        """Its log."""
        log = self.folder / "agent.log"
        return log.read_text() if log.exists() else ""

    def wait_until_taken(self, *names: str, seconds: float = 240) -> None:
        """Wait until it has taken these files in."""
        deadline = time.monotonic() + seconds
        while not {*names} <= {*self.sent}:
            assert time.monotonic() < deadline, self.said[-3000:]
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once, if it lives (SIGKILL)."""
        if self._process is not None and self._process.running:
            self._process.kill()
