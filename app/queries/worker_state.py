"""The narrow, read-only view of a running worker that queries need; the application provides it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.kafka.stage import Stage
    from tables.word_counts import WordCounts

__all__ = ["WorkerState"]


class WorkerState(Protocol):
    """A worker as queries see it: its tasks, its part of the table, its place in the group."""

    @property
    def stages(self) -> Sequence[Stage]:
        """The stages with their tasks."""

    @property
    def table(self) -> WordCounts:
        """The table, with the partitions that this worker owns."""

    @property
    def url(self) -> str:
        """The address at which the other workers reach this one."""

    @property
    def consumer_generation_id(self) -> int:
        """The generation of the consumer group that this worker has joined."""

    @property
    def rebalancing_count(self) -> int:
        """Number of rebalances since the start."""

    @property
    def in_recovery(self) -> bool:
        """Whether the table is being restored from its changelog."""

    @property
    def should_stop(self) -> bool:
        """Whether the worker is stopping."""

    @property
    def failure(self) -> BaseException | None:
        """The error that stops the worker; None if there is none."""

    def recovery_remaining(self) -> int:
        """Number of changelog records that recovery has yet to read."""

    def table_partitions(self) -> Mapping[str, Sequence[int]]:
        """By URL of each worker, the partitions of the table that the group assigned to it."""
