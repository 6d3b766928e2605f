"""What the driver tells of its nodes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from app.cassandra.nodes import Nodes
from app.metrics import CassandraMetrics

if TYPE_CHECKING:
    import pytest


def host(address: str) -> Any:
    return SimpleNamespace(endpoint=SimpleNamespace(address=address, port=9042), is_up=True)


def test_the_last_node_that_goes_starts_the_clock(caplog: pytest.LogCaptureFixture) -> None:
    """It stops when any node is back; each change is one line of the log."""
    caplog.set_level("INFO")
    hosts = [host("10.0.0.1"), host("10.0.0.2")]
    listeners: list[Nodes] = []
    cluster: Any = SimpleNamespace(
        metadata=SimpleNamespace(all_hosts=lambda: hosts), register_listener=listeners.append
    )
    nodes = Nodes()
    assert nodes.count() == (0, 0)
    nodes.watch(SimpleNamespace(cluster=cluster))  # type: ignore[arg-type]
    assert listeners == [nodes]
    for number, gone in enumerate(hosts):
        assert nodes.count() == (2 - number, number)
        assert nodes.none_up_seconds() == 0
        gone.is_up = False
        nodes.on_down(gone)
    assert nodes.none_up_seconds() > 0
    hosts[0].is_up = True
    nodes.on_up(hosts[0])
    assert (nodes.none_up_seconds(), nodes.reconnections) == (0, 1)
    assert [record.getMessage() for record in caplog.records][1:] == [
        "Cassandra's node 10.0.0.2:9042 is gone; the driver tries to reconnect",
        "Cassandra's node 10.0.0.1:9042 is back",
    ]


def test_metrics_show_requests_and_nodes_as_they_are() -> None:
    """Every figure of a write has its metric."""
    registry = CollectorRegistry()
    metrics = CassandraMetrics(registry)
    nodes: Any = SimpleNamespace(count=lambda: (2, 1), reconnections=4)
    metrics.watch(nodes)
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
