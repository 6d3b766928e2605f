"""Which nodes of the cluster the driver has connections to, as it finds out."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from cassandra.policies import HostStateListener

if TYPE_CHECKING:
    from app.cassandra.session import CassandraSession

__all__ = ["Nodes"]

logger = logging.getLogger(__name__)


class Nodes(HostStateListener):
    """Follows the driver's view of the nodes and logs what changes; the driver calls it.

    `reconnections` counts nodes that came back.
    """

    def __init__(self) -> None:
        self.reconnections = 0
        self._cluster: Any = None
        self._none_since: float | None = None

    def watch(self, session: CassandraSession) -> None:
        """Follow the nodes of a session's cluster, and no others any more."""
        if self._cluster is not None:
            self._cluster.unregister_listener(self)
            self.reconnections += 1
        self._cluster, self._none_since = session.cluster, None
        session.cluster.register_listener(self)

    def count(self) -> tuple[int, int]:
        """How many nodes are up, and how many are not."""
        hosts = [] if self._cluster is None else self._cluster.metadata.all_hosts()
        up = sum(bool(host.is_up) for host in hosts)
        return up, len(hosts) - up

    def none_up_seconds(self) -> float:
        """For how long no node has been up; 0 while one is."""
        since = self._none_since
        return 0.0 if since is None else time.monotonic() - since

    def on_up(self, host: Any) -> None:
        """Take note that a node came back."""
        self.reconnections += 1
        self._none_since = None
        logger.info("Cassandra's node %s is back", _name(host))

    def on_down(self, host: Any) -> None:
        """Take note that a node is gone."""
        if not self.count()[0] and self._none_since is None:
            self._none_since = time.monotonic()
        logger.warning("Cassandra's node %s is gone; the driver tries to reconnect", _name(host))

    def on_add(self, host: Any) -> None:
        """Take note of a new node."""
        self._none_since = None

    def on_remove(self, host: Any) -> None:
        """A node that left the cluster is not missed."""


def _name(host: Any) -> str:
    return f"{host.endpoint.address}:{host.endpoint.port}"
