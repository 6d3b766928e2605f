"""The worker as its queries see it (`app.queries.worker_view.WorkerView`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from faust.tables.manager import TableManager

    from app.cassandra.nodes import Nodes
    from app.kafka.stage import Stage
    from app.kafka.watch import BrokerWatch
    from app.settings import Settings
    from app.worker.application import Application
    from tables.word_counts import WordCounts

__all__ = ["ApplicationView"]


class ApplicationView:
    """Reads the state of an application and its parts; changes nothing."""

    def __init__(
        self,
        application: Application,
        stages: Sequence[Stage],
        table: WordCounts,
        broker: BrokerWatch,
        nodes: Nodes,
    ) -> None:
        self.settings: Settings = application.settings
        self.stages = stages
        self.table = table
        self._application = application
        self._broker = broker
        self._nodes = nodes

    @property
    def url(self) -> str:
        """The URL at which the other workers reach this one."""
        # Read each time: options of the command line change it after the application was made.
        return str(self._application.conf.canonical_url)

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
        return self._broker.reachable

    def recovery_remaining(self) -> int:
        """Return the number of changelog records that recovery has still to read."""
        if not self.recovering:
            return 0
        tables = cast("TableManager", self._application.tables)
        return sum(max(0, records) for records in tables.recovery.active_remaining().values())

    def cassandra_down_seconds(self) -> float:
        """Return for how long no node of Cassandra has been up; 0 while one is up."""
        return self._nodes.none_up_seconds()

    def partitions_by_url(self) -> Mapping[str, Sequence[int]]:
        """Return the table's partitions of each worker, by URL, in the newest assignment."""
        changelog = self.settings.changelog
        assigned = self._application.assignor.tables_metadata()
        return {url: topics[changelog] for url, topics in assigned.items() if topics.get(changelog)}
