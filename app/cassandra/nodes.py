"""Follows which nodes of the cluster are up, by polling and by events of the driver."""

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
    """Follows the nodes of the current session and logs each change once.

    A node is up if the driver marks it as up or has an open connection for writes to it. An event
    of the driver only triggers a look: the driver sends no event for a node that another session
    found or that needs no connection. `reconnections` counts nodes that came back. Thread-safe.
    """

    def __init__(self) -> None:
        self.reconnections = 0
        self._session: CassandraSession | None = None
        self._lock = threading.Lock()
        self._up: dict[str, bool] = {}
        self._none_since: float | None = None

    def watch(self, session: CassandraSession) -> None:
        """Follow the nodes of this session from now on, instead of those of the former one."""
        with self._lock:
            old, self._session = self._session, session
        if old is not None:
            old.cluster.unregister_listener(self)
        session.cluster.register_listener(self)
        self.look()

    def look(self) -> None:
        """Find and log changes; reads only the state of the driver, without a request."""
        # Threads of the driver, the event loop and readers of metrics look at the same time. Under
        # the lock only one of them finds a change, so it is logged and counted once.
        with self._lock:
            # An OutageNotice for each node would keep this state a second time.
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
            logger.info("Cassandra node %s is back", name)
        else:
            logger.warning("Cassandra node %s is down; the driver reconnects when it is back", name)

    def count(self) -> tuple[int, int]:
        """The number of nodes that are up, and of those that are down."""
        self.look()
        states = list(self._up.values())
        return sum(states), len(states) - sum(states)

    def none_up_seconds(self) -> float:
        """Seconds since the last node went down; 0 while a node is up."""
        self.look()
        since = self._none_since
        return 0.0 if since is None else time.monotonic() - since

    def on_up(self, host: Any) -> None:
        """Look again: the driver reached a node again."""
        self.look()

    def on_down(self, host: Any) -> None:
        """Look again: the driver lost a node."""
        self.look()

    def on_add(self, host: Any) -> None:
        """Look again: the driver found a new node."""
        self.look()

    def on_remove(self, host: Any) -> None:
        """Look again: a node that left the cluster does not count as down."""
        self.look()


def _states(session: CassandraSession | None) -> dict[str, bool]:
    """Whether each node is up that the driver connects to; omits nodes that it has not tried yet.

    The driver ignores the nodes of other data centres.
    """
    if session is None:
        return {}
    cluster, pools = session.cluster, session.driver.get_pool_state()
    states = {}
    for host in cluster.metadata.all_hosts():
        connected = host in pools and pools[host]["open_count"] > 0
        known = connected or host.is_up is not None
        # `is_up` is None until the driver's first attempt. An open connection proves that a node is
        # up, even if the driver does not mark it so.
        if known and cluster.profile_manager.distance(host) != HostDistance.IGNORED:
            states[f"{host.endpoint.address}:{host.endpoint.port}"] = connected or host.is_up
    return states
