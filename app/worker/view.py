"""The worker as its queries see it (`app.queries.worker_view.WorkerView`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.kafka.stage import Stage
    from app.settings import Settings
    from app.worker.application import Application
    from tables.word_counts import WordCounts

__all__ = ["ApplicationView"]


class ApplicationView:
    """Reads the state of an application; changes nothing."""

    def __init__(self, application: Application) -> None:
        self._application = application

    @property
    def settings(self) -> Settings:
        """The settings of the application."""
        return self._application.settings

    @property
    def url(self) -> str:
        """The URL at which the other workers reach this one."""
        # Not kept: options of the command line change it after the application has been made.
        return str(self._application.conf.canonical_url)

    @property
    def stages(self) -> Sequence[Stage]:
        """The stages, in the order of the stream."""
        return self._application.stages

    @property
    def table(self) -> WordCounts:
        """The table of counts."""
        return self._application.table

    @property
    def generation(self) -> int:
        """The consumer group's generation of the present assignment."""
        return int(self._application.consumer_generation_id)

    @property
    def rebalances(self) -> int:
        """Rebalances of the consumer group since the start."""
        return int(self._application.rebalancing_count)

    @property
    def failure(self) -> BaseException | None:
        """The error that stopped the worker; None if there is none."""
        return self._application.failure

    @property
    def stopping(self) -> bool:
        """Whether the worker stops, or has stopped."""
        return bool(self._application.should_stop)

    @property
    def recovering(self) -> bool:
        """Whether the table is being recovered from its changelog."""
        return bool(self._application.in_recovery)

    @property
    def kafka_reachable(self) -> bool:
        """Whether a broker accepted a connection at the last probe."""
        return self._application.broker.reachable

    def recovery_remaining(self) -> int:
        """Return the number of changelog records that recovery has still to read."""
        return self._application.recovery_remaining()

    def cassandra_down_seconds(self) -> float:
        """Return for how long no node of Cassandra has been up; 0 while one is up."""
        return self._application.sink.nodes.none_up_seconds()

    def partitions_by_url(self) -> Mapping[str, Sequence[int]]:
        """Return the table's partitions of each worker, by URL, in the newest assignment."""
        changelog = self._application.settings.changelog
        assigned = self._application.assignor.tables_metadata()
        return {url: topics[changelog] for url, topics in assigned.items() if topics.get(changelog)}
