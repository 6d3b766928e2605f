"""The nodes that are up, by their connections and the driver's marks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from cassandra.policies import HostDistance
from prometheus_client import CollectorRegistry

from app.cassandra.metrics import CassandraMetrics, show_nodes
from app.cassandra.nodes import Nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.cassandra.session import CassandraSession

GONE = "Cassandra node 10.0.0.{}:9042 is down; the driver reconnects when it is back"
BACK = "Cassandra node 10.0.0.{}:9042 is back"


class Host:
    """A node with the driver's mark, and whether a connection for writes to it is open."""

    def __init__(self, number: int, *, up: bool | None = True, local: bool = True) -> None:
        self.endpoint = SimpleNamespace(address=f"10.0.0.{number}", port=9042)
        self.distance = HostDistance.LOCAL if local else HostDistance.IGNORED
        self.is_up = up
        self.connected = bool(up)

    def goes(self) -> None:
        """Mark the node down and close its connections."""
        self.is_up = self.connected = False

    def comes(self) -> None:
        """Open a connection and mark the node up."""
        self.is_up = self.connected = True


class Driver:
    """A session of the driver and its cluster, with the listeners that it would call."""

    def __init__(self, *hosts: Host) -> None:
        self.listeners: list[Nodes] = []
        self.cluster = SimpleNamespace(
            metadata=SimpleNamespace(all_hosts=lambda: list(hosts)),
            profile_manager=SimpleNamespace(distance=lambda host: host.distance),
            register_listener=self.listeners.append,
            unregister_listener=self.listeners.remove,
        )
        self.driver = SimpleNamespace(
            get_pool_state=lambda: {
                host: {"open_count": int(host.connected)}
                for host in hosts
                if host.is_up is not None
            }
        )

    @property
    def session(self) -> CassandraSession:
        """Itself, in the place of a session."""
        return self  # type: ignore[return-value]  # what Nodes needs of one


@pytest.fixture
def nodes(caplog: pytest.LogCaptureFixture) -> Nodes:
    """Nodes without a session yet."""
    caplog.set_level("INFO")
    return Nodes()


def test_the_clock_starts_when_the_last_node_goes_down(
    nodes: Nodes, caplog: pytest.LogCaptureFixture
) -> None:
    """The clock stops when any node is back; the log has one line for each change."""
    assert nodes.count() == (0, 0)
    hosts = [Host(1), Host(2)]
    driver = Driver(*hosts)
    nodes.watch(driver.session)
    assert driver.listeners == [nodes]
    for number, host in enumerate(hosts):
        assert nodes.count() == (2 - number, number)
        assert nodes.none_up_seconds() == 0
        host.goes()
        nodes.on_down(host)
    assert nodes.none_up_seconds() > 0
    hosts[0].comes()
    nodes.on_up(hosts[0])
    assert (nodes.none_up_seconds(), nodes.reconnections) == (0, 1)
    assert nodes.count() == (1, 1)
    assert caplog.messages == [GONE.format(1), GONE.format(2), BACK.format(1)]


@pytest.mark.parametrize("look", [Nodes.look, Nodes.count, Nodes.none_up_seconds])
@pytest.mark.parametrize("marked", [False, True])
def test_a_node_without_a_driver_event_is_found_by_a_check(
    nodes: Nodes, caplog: pytest.LogCaptureFixture, look: Callable[[Nodes], Any], marked: bool
) -> None:
    """A node with an open connection is back, marked up or not. A second look changes nothing."""
    host = Host(1)
    nodes.watch(Driver(host).session)
    host.goes()
    look(nodes)
    assert nodes.none_up_seconds() > 0
    host.is_up, host.connected = marked, True
    for _ in range(2):
        look(nodes)
    assert (nodes.count(), nodes.none_up_seconds(), nodes.reconnections) == ((1, 0), 0, 1)
    assert caplog.messages == [GONE.format(1), BACK.format(1)]


def test_a_repeated_driver_event_counts_once(
    nodes: Nodes, caplog: pytest.LogCaptureFixture
) -> None:
    """An event for a change that a check found already counts nothing."""
    host = Host(1)
    nodes.watch(Driver(host).session)
    for change, notify in ((host.goes, nodes.on_down), (host.comes, nodes.on_up)) * 2:
        change()
        nodes.look()
        notify(host)
        notify(host)
    assert nodes.reconnections == 2
    assert caplog.messages == [GONE.format(1), BACK.format(1)] * 2


def test_a_new_session_finds_the_nodes_that_the_old_one_missed(
    nodes: Nodes, caplog: pytest.LogCaptureFixture
) -> None:
    """Nodes of the new session count as back; events of the old driver have no effect."""
    old, new = [Host(1), Host(2)], [Host(1), Host(2)]
    old_driver, new_driver = Driver(*old), Driver(*new)
    nodes.watch(old_driver.session)
    for host in old:
        host.goes()
        nodes.on_down(host)
    new[1].goes()
    nodes.watch(new_driver.session)
    nodes.on_down(old[0])  # an event that was on its way
    assert (old_driver.listeners, new_driver.listeners) == ([], [nodes])
    assert (nodes.count(), nodes.none_up_seconds(), nodes.reconnections) == ((1, 1), 0, 1)
    assert caplog.messages == [GONE.format(1), GONE.format(2), BACK.format(1)]
    nodes.watch(old_driver.session)
    assert nodes.count() == (0, 2)


def test_a_node_that_is_not_tried_is_neither_up_nor_down(
    nodes: Nodes, caplog: pytest.LogCaptureFixture
) -> None:
    """A new node does not count until the first attempt, one of another data centre never does."""
    new, far, left = Host(1, up=None), Host(2, up=False, local=False), Host(3, up=False)
    hosts = [new, far, left]
    driver = Driver()
    driver.cluster.metadata.all_hosts = lambda: hosts
    driver.driver.get_pool_state = dict
    nodes.watch(driver.session)
    assert nodes.count() == (0, 1)
    hosts.remove(left)
    nodes.on_remove(left)
    assert (nodes.count(), nodes.none_up_seconds()) == ((0, 0), 0)
    new.is_up = far.is_up = True
    nodes.on_add(new)
    assert (nodes.count(), nodes.reconnections) == ((1, 0), 0)
    assert caplog.messages == [GONE.format(3)]


def test_concurrent_checks_find_a_change_once(
    nodes: Nodes, caplog: pytest.LogCaptureFixture
) -> None:
    """Threads of the driver, the event loop and readers of metrics look at the same time."""
    host = Host(1)
    nodes.watch(Driver(host).session)
    with ThreadPoolExecutor(8) as threads:
        for change in (host.goes, host.comes) * 50:
            change()
            list(threads.map(lambda _: nodes.count(), range(16)))
    assert nodes.reconnections == 50
    assert caplog.messages == [GONE.format(1), BACK.format(1)] * 50


def test_metrics_show_requests_and_nodes_as_they_are() -> None:
    """Every figure of a write has its metric."""
    registry = CollectorRegistry()
    metrics = CassandraMetrics(registry)
    nodes: Any = SimpleNamespace(count=lambda: (2, 1), reconnections=4)
    show_nodes(registry, nodes)
    metrics.acknowledged(50, 4_000, 0.02)
    metrics.failed("WriteTimeout", 2.0)
    metrics.retried()
    metrics.waited(0.5)
    expected = {
        "batches_total": 1,
        "written_bytes_total": 4_000,
        "batch_rows_sum": 50,
        "batch_bytes_count": 1,
        "batch_seconds_sum": 0.02,
        "write_seconds_total": 2.02,
        "write_waiting_seconds_total": 0.5,
        "write_retries_total": 1,
        "cassandra_reconnections": 4,
    }
    for name, value in expected.items():
        assert registry.get_sample_value(f"wordcount_{name}") == value, name
    labelled = {
        ("write_failures_total", "kind", "WriteTimeout"): 1,
        ("cassandra_nodes", "state", "up"): 2,
        ("cassandra_nodes", "state", "down"): 1,
    }
    for (name, label, text), value in labelled.items():
        assert registry.get_sample_value(f"wordcount_{name}", {label: text}) == value, name
