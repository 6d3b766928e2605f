"""/metrics: the worker's metrics, and those that are read off its state when asked for."""

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
    from app.worker.application import Application

__all__ = ["StateMetrics"]


class StateMetrics(Collector):
    """Adds the worker's state to its metrics' registry."""

    def __init__(
        self, app: Application, metrics: Metrics, health: Health, local: LocalCounts
    ) -> None:
        self._app = app
        self._registry = metrics.registry
        self._health = health
        self._local = local
        self._lags: list[Lag] = []
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    async def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        self._lags = await self._local.lags()
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Tell no names ahead: the state is there only once the worker has started."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The worker's state as metrics."""
        app = self._app
        lag = GaugeMetricFamily(
            "wordcount_lag_records",
            "Records of a topic between what is committed and its end",
            labels=["topic", "partition"],
        )
        for own in self._lags:
            if own.records is not None:
                lag.add_metric([own.topic, str(own.partition)], own.records)
        yield lag
        owned = GaugeMetricFamily(
            "wordcount_owned_partitions", "Partitions that the worker works on", labels=["topic"]
        )
        for stage in app.stages:
            owned.add_metric([stage.topic], len(stage.working()))
        yield owned
        yield GaugeMetricFamily(
            "wordcount_rows_waiting",
            "Changed rows that Cassandra lacks",
            value=sum(len(own.dirty) for own in list(app.table.owned.values())),
        )
        yield GaugeMetricFamily(
            "wordcount_unflushed_age_seconds",
            "Age of the oldest change that Cassandra lacks",
            value=self._health.unflushed_seconds(),
        )
        state = GaugeMetricFamily(
            "wordcount_state_bytes",
            "Size of the table's local copy, standby partitions too",
            labels=["partition"],
        )
        for partition, size in app.table.store.sizes().items():
            state.add_metric([str(partition)], size)
        yield state
        yield GaugeMetricFamily(
            "wordcount_state_cache_bytes",
            "Memory that RocksDB holds: blocks of its files, and memtables",
            value=app.table.store.cached(),
        )
        yield GaugeMetricFamily(
            "wordcount_recovery_remaining_records",
            "Records of the changelog that recovery has still to read",
            value=app.recovery_remaining(),
        )
        yield GaugeMetricFamily(
            "wordcount_recovering",
            "1 while the table is recovered from its changelog",
            value=self._health.state == "recovering",
        )
        yield GaugeMetricFamily(
            "wordcount_ready",
            "1 while the worker does its work",
            value=not self._health.not_ready(),
        )
        yield CounterMetricFamily(
            "wordcount_rebalances",
            "Rebalances of the consumer group since the start",
            value=app.rebalancing_count,
        )
        info = GaugeMetricFamily(
            "wordcount_build_info", "Versions", labels=["version", "faust", "python"]
        )
        versions = [version("wordcount-stream"), version("faust-streaming")]
        info.add_metric([*versions, platform.python_version()], 1)
        yield info
