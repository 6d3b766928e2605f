"""The narrow, read-only view of a worker on which queries, web server and console depend.

`app.worker.view.ApplicationView` implements it. A test uses any object with these attributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.kafka.stage import Stage
    from app.settings import Settings
    from tables.word_counts import WordCounts

__all__ = ["WorkerView"]


class WorkerView(Protocol):
    """One worker: its state, its stages and its part of the table."""

    @property
    def settings(self) -> Settings:
        """The settings of the application."""

    @property
    def url(self) -> str:
        """The URL at which the other workers reach this one."""

    @property
    def stages(self) -> Sequence[Stage]:
        """The stages, in the order of the stream."""

    @property
    def table(self) -> WordCounts:
        """The table of counts."""

    @property
    def generation(self) -> int:
        """The consumer group's generation of the present assignment."""

    @property
    def rebalances(self) -> int:
        """Rebalances of the consumer group since the start."""

    @property
    def failure(self) -> BaseException | None:
        """The error that stopped the worker; None if there is none."""

    @property
    def stopping(self) -> bool:
        """Whether the worker stops, or has stopped."""

    @property
    def recovering(self) -> bool:
        """Whether the table is being recovered from its changelog."""

    @property
    def kafka_reachable(self) -> bool:
        """Whether a broker accepted a connection at the last probe."""

    def recovery_remaining(self) -> int:
        """Return the number of changelog records that recovery has still to read."""

    def cassandra_down_seconds(self) -> float:
        """Return for how long no node of Cassandra has been up; 0 while one is up."""

    def partitions_by_url(self) -> Mapping[str, Sequence[int]]:
        """Return the table's partitions of each worker, by URL, in the newest assignment."""
