"""Which nodes of the cluster are up, found by looking as well as by listening to the driver."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from cassandra.policies import HostDistance, HostStateListener

if TYPE_CHECKING:
    from app.cassandra.session import CassandraSession

__all__ = ["Nodes"]

logger = logging.getLogger(__name__)


class Nodes(HostStateListener):
    """Follows the nodes of the session in use and logs what changes, once.

    A node is up when the driver says so or has an open connection for writes to it. What the driver
    tells is only a reason to look: of a node that was found by another session, or that needs no
    connection, it tells nothing. `reconnections` counts nodes that came back. Safe in any thread.
    """

    def __init__(self) -> None:
        self.reconnections = 0
        self._session: CassandraSession | None = None
        self._lock = threading.Lock()
        self._up: dict[str, bool] = {}
        self._none_since: float | None = None

    def watch(self, session: CassandraSession) -> None:
        """Follow the nodes of this session from now on, and those of no other."""
        with self._lock:
            old, self._session = self._session, session
        if old is not None:
            old.cluster.unregister_listener(self)
        session.cluster.register_listener(self)
        self.look()

    def look(self) -> None:
        """Find what has changed; asks nobody but the driver's memory."""
        with self._lock:
            known, self._up = self._up, _states(self._session)
            for name, up in self._up.items():
                if up != known.get(name, True):
                    self._changed(name, up)
            if any(self._up.values()) or not self._up:
                self._none_since = None
            elif self._none_since is None:
                self._none_since = time.monotonic()

    def _changed(self, name: str, up: bool) -> None:
        if up:
            self.reconnections += 1
            logger.info("Cassandra's node %s is back", name)
        else:
            logger.warning("Cassandra's node %s is gone; the driver tries to reconnect", name)

    def count(self) -> tuple[int, int]:
        """How many nodes are up, and how many are not."""
        self.look()
        states = list(self._up.values())
        return sum(states), len(states) - sum(states)

    def none_up_seconds(self) -> float:
        """For how long no node has been up; 0 while one is."""
        self.look()
        since = self._none_since
        return 0.0 if since is None else time.monotonic() - since

    def on_up(self, host: Any) -> None:
        """The driver has found a node again."""
        self.look()

    def on_down(self, host: Any) -> None:
        """The driver has lost a node."""
        self.look()

    def on_add(self, host: Any) -> None:
        """The driver has heard of a new node."""
        self.look()

    def on_remove(self, host: Any) -> None:
        """A node that left the cluster is not missed."""
        self.look()


def _states(session: CassandraSession | None) -> dict[str, bool]:
    """Whether each node is up that the driver is to connect to; those not tried yet are left out.

    The driver leaves alone the nodes of other data centres.
    """
    if session is None:
        return {}
    cluster, pools = session.cluster, session.driver.get_pool_state()
    states = {}
    for host in cluster.metadata.all_hosts():
        connected = host in pools and pools[host]["open_count"] > 0
        known = connected or host.is_up is not None
        if known and cluster.profile_manager.distance(host) != HostDistance.IGNORED:
            states[f"{host.endpoint.address}:{host.endpoint.port}"] = connected or host.is_up
    return states
