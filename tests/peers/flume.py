"""A real Apache Flume agent: a spooling directory, a file channel, a Thrift sink."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from app.embedded.java import find_java
from app.embedded.process import Process
from tests.jars import jars_of
from tests.peers.jars import FLUME, LOCK

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FlumeAgent"]

_FLAGS = ("-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class FlumeAgent:
    """An agent that sends the lines of the files in its directory to a port of this machine.

    Its events carry the headers file and basename. Its channel survives kill -9.
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
        """Start the agent; `settings` replace its settings, with `_` for `.` in their names."""
        changed = {name.replace("__", "-").replace("_", "."): v for name, v in settings.items()}
        configuration = self.folder / "agent.properties"
        configuration.write_text(
            "".join(f"a.{name} = {value}\n" for name, value in (self._settings | changed).items())
        )
        classpath = os.pathsep.join(map(str, jars_of(LOCK, FLUME)))
        command = [str(find_java()), *_FLAGS, "-cp", classpath]
        command += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        command += ["org.apache.flume.node.Application", "-n", "a", "-f", str(configuration)]
        self._process = Process(
            [*command, "--no-reload-conf"], self.folder / "agent.log", dict(os.environ)
        )
        return self

    def put(self, name: str, text: bytes) -> None:
        """Move a complete file into the agent's directory."""
        written = self.folder / name
        written.write_bytes(text)
        written.rename(self.spool / name)

    @property
    def sent(self) -> list[str]:
        """The names of the files that the agent has read to the last line."""
        return sorted(
            path.name.removesuffix(".COMPLETED") for path in self.spool.glob("*.COMPLETED")
        )

    @property
    def log(self) -> str:
        """The log of the agent."""
        path = self.folder / "agent.log"
        return path.read_text() if path.exists() else ""

    def wait_until_sent(self, *names: str, seconds: float = 240) -> None:
        """Wait until the agent has read these files."""
        deadline = time.monotonic() + seconds
        while not {*names} <= {*self.sent}:
            assert time.monotonic() < deadline, self.log[-3000:]
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill the agent if it is running (SIGKILL)."""
        if self._process is not None and self._process.running:
            self._process.kill()
