"""A real Cassandra: one node in one process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from app.embedded import jar_lock, ports
from app.embedded.server import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from app.embedded.options import ServerOptions

__all__ = ["EmbeddedCassandra"]

_OPTIONS = (
    "-Xms256m",
    # Denied by default from Java 18 on; Cassandra 5 sets one.
    "-Djava.security.manager=allow",
    "-Djdk.attach.allowAttachSelf=true",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dcassandra-foreground=yes",
    "-Dcassandra.skip_wait_for_gossip_to_settle=0",
    "-Dcassandra.ring_delay_ms=0",
    "-Dcassandra.shutdown_announce_in_ms=0",
    "-Dcassandra.superuser_setup_delay_ms=0",
    # Set it: measuring it at the start takes three seconds.
    "-Dcassandra.memtable.row_overhead_size=180",
)
_EXPORTS = (
    "java.base/jdk.internal.misc",
    "java.base/java.lang.ref",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.unsupported/sun.misc",
)
_OPENS = (
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "java.rmi/sun.rmi.transport.tcp",
    "jdk.management/com.sun.management.internal",
)


class EmbeddedCassandra(EmbeddedServer):
    """A Cassandra node on `port` of this machine, a free one by default.

    `seeds` are the `seed` of nodes to join; without seeds the node forms its own cluster. The other
    options are those of `ServerOptions`; `settings` override cassandra.yaml.
    """

    name: ClassVar[str] = "Cassandra"
    jars: ClassVar[str] = jar_lock.CASSANDRA
    _serving: ClassVar[str] = "Startup complete"
    _heap: ClassVar[str] = "512m"

    def __init__(
        self, port: int = 0, *, seeds: Sequence[str] = (), **options: Unpack[ServerOptions]
    ) -> None:
        super().__init__(port, **options)
        self._ports["storage port"] = ports.free_port(self.host)
        self._seeds = tuple(seeds)

    @property
    def seed(self) -> str:
        """host:port by which other nodes join this one."""
        return f"{self.host}:{self._ports['storage port']}"

    def cassandra_yaml(self, directory: Path) -> dict[str, Any]:
        """The content of cassandra.yaml."""
        data = directory / "data"
        seeds = {"seeds": ",".join(self._seeds or (self.seed,))}
        made = {
            "cluster_name": "embedded",
            "num_tokens": 1,
            "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
            "endpoint_snitch": "SimpleSnitch",
            "seed_provider": [
                {
                    "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
                    "parameters": [seeds],
                }
            ],
            "listen_address": self.host,
            "rpc_address": self.host,
            "native_transport_port": self.port,
            "storage_port": self._ports["storage port"],
            "start_native_transport": True,
            "auto_bootstrap": False,
            "auto_snapshot": False,
            # With "periodic" a kill loses the last tenth of a second of acknowledged writes.
            "commitlog_sync": "batch",
            "data_file_directories": [str(data / "tables")],
            "commitlog_directory": str(data / "commitlog"),
            "saved_caches_directory": str(data / "saved_caches"),
            "hints_directory": str(data / "hints"),
            "cdc_raw_directory": str(data / "cdc_raw"),
        }
        return self._over(made)

    def _configure(self, directory: Path) -> None:
        # JSON is YAML.
        text = json.dumps(self.cassandra_yaml(directory), indent=2)
        (directory / "cassandra.yaml").write_text(text, encoding="utf-8")

    def _arguments(self, directory: Path) -> list[str]:
        return [
            *_OPTIONS,
            *(f"--add-exports={module}=ALL-UNNAMED" for module in _EXPORTS),
            *(f"--add-opens={module}=ALL-UNNAMED" for module in _OPENS),
            f"-Dcassandra.config={(directory / 'cassandra.yaml').as_uri()}",
            f"-Dcassandra.storagedir={directory / 'data'}",
            *self._java_options,
            "org.apache.cassandra.service.CassandraDaemon",
        ]
