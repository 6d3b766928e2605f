"""A real Kafka: one process that is broker and controller (KRaft)."""

from __future__ import annotations

import base64
import uuid
from typing import TYPE_CHECKING, ClassVar, Unpack

from app.embedded import jar_lock, ports
from app.embedded.server import EmbeddedServer

if TYPE_CHECKING:
    from pathlib import Path

    from app.embedded.options import ServerOptions

__all__ = ["EmbeddedKafka"]


class EmbeddedKafka(EmbeddedServer):
    """A Kafka broker on `port` of this machine, a free one by default.

    The other options are those of `ServerOptions`; `settings` override server.properties.
    """

    name: ClassVar[str] = "Kafka"
    jars: ClassVar[str] = jar_lock.KAFKA
    _serving: ClassVar[str] = "Kafka Server started"
    _heap: ClassVar[str] = "256m"

    def __init__(self, port: int = 0, **options: Unpack[ServerOptions]) -> None:
        super().__init__(port, **options)
        self._ports["controller port"] = ports.free_port(self.host)

    def server_properties(self) -> dict[str, str]:
        """The content of server.properties."""
        controller = f"{self.host}:{self._ports['controller port']}"
        made = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            # Below its working directory: in a path, a comma would mean two directories.
            "log.dirs": "data",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "5",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "5",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "log.cleaner.dedupe.buffer.size": "4194304",
            "log.cleaner.io.buffer.size": "65536",
            # After a kill, a restarted broker waits until its last session expires.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
        }
        return {key: str(value) for key, value in self._over(made).items()}

    def _configure(self, directory: Path) -> None:
        lines = [f"{k}={_escape(v)}\n" for k, v in self.server_properties().items()]
        (directory / "server.properties").write_text("".join(lines), encoding="ascii")

    def _prepare(self, directory: Path) -> None:
        if (directory / "data" / "meta.properties").exists():
            return
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        process = self._run(
            "kafka.tools.StorageTool",
            "format",
            "--ignore-formatted",
            f"--cluster-id={cluster}",
            f"--config={directory / 'server.properties'}",
        )
        self._process = process
        self._wait_until(lambda: process.exit_status == 0, process)

    def _arguments(self, directory: Path) -> list[str]:
        return ["-Xms64m", *self._java_options, "kafka.Kafka", str(directory / "server.properties")]


def _escape(value: str) -> str:
    """Escape a value for java.util.Properties."""
    escaped = value.replace("\\", "\\\\")
    return "".join(c if " " <= c <= "~" else f"\\u{ord(c):04x}" for c in escaped)
