"""Three Cassandra nodes on this machine: 127.0.0.1, 127.0.0.2 and 127.0.0.3, on one port."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Self

from cassandra.cluster import Cluster, ExecutionProfile, NoHostAvailable
from cassandra.policies import ConstantReconnectionPolicy, WhiteListRoundRobinPolicy

from app.embedded import EmbeddedCassandra, close_together, start_together
from app.embedded.ports import free_port, is_free

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CassandraCluster"]

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
HEAP = "256m"

_SMALL = {
    "memtable_heap_space": "32MiB",
    "memtable_offheap_space": "32MiB",
    "file_cache_size": "32MiB",
    "commitlog_segment_size": "8MiB",
    "concurrent_reads": 8,
    "concurrent_writes": 16,
    # A node that was away soon receives its missed rows by hints.
    "hints_flush_period": "1000ms",
}


class CassandraCluster:
    """A cluster whose nodes can be killed, paused and started one by one."""

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        port = _free_port_of_all()
        ring = (1 << 64) // len(HOSTS)
        self.nodes: list[EmbeddedCassandra] = []
        for number, host in enumerate(HOSTS):
            self.nodes.append(
                EmbeddedCassandra(
                    port,
                    seeds=[self.nodes[0].seed] if self.nodes else (),
                    host=host,
                    heap=HEAP,
                    timeout=300.0,
                    java_options=["-Xms128m"],
                    # Even shares of the ring, in order of the addresses.
                    settings={
                        **_SMALL,
                        "initial_token": str(number * ring - (1 << 63)),
                        **(settings or {}),
                    },
                )
            )

    @property
    def contact(self) -> str:
        """The addresses of all nodes, as a value of WORDCOUNT_CASSANDRA."""
        return ",".join(node.address for node in self.nodes)

    def __enter__(self) -> Self:
        first, *others = self.nodes
        try:
            first.start()
            start_together(*others)
            self._until_met()
        except BaseException:
            close_together(*self.nodes)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        close_together(*self.nodes)

    def start_all(self) -> None:
        """Start the stopped nodes and resume the paused ones."""
        for node in self.nodes:
            if node.running:
                node.resume()
        start_together(*self.nodes)

    def _until_met(self) -> None:
        """Wait until each node knows the other nodes."""
        deadline = time.monotonic() + 180
        for node in self.nodes:
            alone = ExecutionProfile(WhiteListRoundRobinPolicy([node.host]))
            with Cluster(
                [node.host],
                port=node.port,
                execution_profiles={"alone": alone},
                reconnection_policy=ConstantReconnectionPolicy(0.2, max_attempts=None),
                connect_timeout=60,
                control_connection_timeout=60,
            ) as cluster:
                session = cluster.connect()
                query = "SELECT peer, rpc_address, host_id FROM system.peers"
                while True:
                    # The driver treats a peer as down as long as a node reports it down.
                    with contextlib.suppress(NoHostAvailable):
                        peers = session.execute(query, execution_profile="alone")
                        if len([peer for peer in peers if peer.host_id]) == len(HOSTS) - 1:
                            break
                    assert time.monotonic() < deadline, f"{node.host} does not know all others"
                    time.sleep(0.05)


def _free_port_of_all() -> int:
    while True:
        port = free_port(HOSTS[0])
        if all(is_free(port, host) for host in HOSTS[1:]):
            return port
