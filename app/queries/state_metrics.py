"""The text of /metrics: the worker's metrics, and its state, which is read for each request."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from app.metrics import Metrics
    from app.queries.health import Health
    from app.queries.local import Lag, LocalCounts
    from app.queries.worker_view import WorkerView

__all__ = ["StateMetrics"]


class StateMetrics(Collector):
    """Adds the worker's state to the registry of its metrics."""

    def __init__(
        self, worker: WorkerView, metrics: Metrics, health: Health, local: LocalCounts
    ) -> None:
        self._worker = worker
        self._registry = metrics.registry
        self._health = health
        self._local = local
        self._lags: list[Lag] = []
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    async def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        # Lags need the broker. `collect` cannot await it, so they are fetched before.
        self._lags = await self._local.lags()
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Return no metrics: the registry would collect the state before the worker has started."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The worker's state as metrics."""
        worker = self._worker
        lag = GaugeMetricFamily(
            "wordcount_lag_records",
            "Records between the committed offset and the end of a partition",
            labels=["topic", "partition"],
        )
        for each in self._lags:
            if each.records is not None:
                lag.add_metric([each.topic, str(each.partition)], each.records)
        yield lag
        owned = GaugeMetricFamily(
            "wordcount_owned_partitions", "Partitions that the worker works on", labels=["topic"]
        )
        for stage in worker.stages:
            owned.add_metric([stage.topic], len(stage.working()))
        yield owned
        yield GaugeMetricFamily(
            "wordcount_rows_waiting",
            "Changed rows that Cassandra lacks",
            value=sum(len(partition.dirty) for partition in list(worker.table.owned.values())),
        )
        yield GaugeMetricFamily(
            "wordcount_unflushed_age_seconds",
            "Age of the oldest change that Cassandra lacks",
            value=self._health.unflushed_seconds(),
        )
        state = GaugeMetricFamily(
            "wordcount_state_bytes",
            "Size of the table's local copy, standby partitions included",
            labels=["partition"],
        )
        for partition, size in worker.table.databases.sizes().items():
            state.add_metric([str(partition)], size)
        yield state
        yield GaugeMetricFamily(
            "wordcount_state_cache_bytes",
            "Memory that RocksDB holds: cached blocks of its files, and memtables",
            value=worker.table.databases.cached(),
        )
        yield GaugeMetricFamily(
            "wordcount_recovery_remaining_records",
            "Records of the changelog that recovery has yet to read",
            value=worker.recovery_remaining(),
        )
        yield GaugeMetricFamily(
            "wordcount_recovering",
            "1 while the worker recovers the table from its changelog",
            value=self._health.state == "recovering",
        )
        yield GaugeMetricFamily(
            "wordcount_ready",
            "1 while the worker is ready",
            value=not self._health.not_ready(),
        )
        yield CounterMetricFamily(
            "wordcount_rebalances",
            "Rebalances of the consumer group since the start",
            value=worker.rebalances,
        )
        info = GaugeMetricFamily(
            "wordcount_build_info", "Versions", labels=["version", "faust", "python"]
        )
        versions = [version("wordcount-stream"), version("faust-streaming")]
        info.add_metric([*versions, platform.python_version()], 1)
        yield info
