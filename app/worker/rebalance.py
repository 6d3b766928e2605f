"""Takes partitions over at a rebalance, as Kafka Streams' TaskManager does.

close tasks ─► open tasks (fence zombies) ─► recover the table ─► start tasks
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from faust.types import TP

from app.kafka.offset_loss import refuse_lost_offset, refuse_lost_rows, topic_gone
from app.kafka.topics import other_partitions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from faust.types import ConsumerT

    from app.kafka.offset_ranges import OffsetRanges
    from app.kafka.stage import Stage
    from app.settings import Settings
    from tables.word_counts import WordCounts

__all__ = ["GroupMember", "Rejoin", "TaskManager"]

REJOIN_SECONDS = 3.0
"""How long a fenced worker waits for a rebalance before it requests one."""


class GroupMember(Protocol):
    """The Faust application as a member of its consumer group."""

    @property
    def consumer(self) -> ConsumerT:
        """The consumer of this worker."""

    @property
    def consumer_generation_id(self) -> int:
        """The generation of the group that this worker has joined."""

    @property
    def recovered_generation(self) -> int | None:
        """The generation whose recovery has ended; None while a newer one is pending."""

    @property
    def rebalancing_count(self) -> int:
        """Number of rebalances since the start."""

    @property
    def should_stop(self) -> bool:
        """Whether the worker is stopping."""

    def rejoin(self) -> None:
        """Ask the group for a new assignment."""


class TaskManager:
    """Opens, starts and closes the tasks of all stages, and loads the table for them.

    `at_work` is set once tasks have started for the first time.
    """

    def __init__(
        self,
        member: GroupMember,
        settings: Settings,
        stages: Sequence[Stage],
        table: WordCounts,
        offset_ranges: OffsetRanges,
        fail: Callable[[BaseException], None],
    ) -> None:
        self.at_work = asyncio.Event()
        self._member = member
        self._settings = settings
        self._stages = stages
        # The stages whose rows the table holds. Their tasks need its changelog; others do not.
        self._counting = [stage for stage in stages if stage.topic == settings.partials]
        self._table = table
        self._offset_ranges = offset_ranges
        self._fail = fail
        self._opened = -1

    async def release(self) -> None:
        """Close all tasks and forget the table: the group has revoked the partitions."""
        self._opened = -1
        await self.close()
        await self._table.forget()

    async def take_over(self, assigned: Iterable[TP], generation: int) -> None:
        """Open the tasks of the assigned partitions, before the table is recovered.

        Zombies must be fenced first. Only then is the changelog that recovery reads complete.
        """
        try:
            await self.release()
            if not self._member.should_stop:
                await self._open(set(assigned))
        except Exception as error:
            if not self._member.should_stop:
                self._fail(error)
        self._opened = generation

    async def start(self) -> None:
        """Load the recovered table and start the tasks, if they belong to this recovery."""
        # The recovery of an older assignment may end while the tasks of a newer one are opened.
        # Those must wait for the recovery of their own assignment.
        if not self._is_recovered():
            return
        try:
            await self._table.load(
                [partition for stage in self._counting for partition in stage.tasks]
            )
            if not self._is_recovered():
                await self._table.forget()  # the next rebalance has begun meanwhile
                return
            self._refuse_lost_offsets()
            for stage in self._stages:
                stage.start(self._member.consumer_generation_id)
            self.at_work.set()
        except Exception as error:
            self._fail(error)

    async def close(self, *, drain: bool = False) -> None:
        """Close all tasks; with `drain`, let them finish the blocks that they hold."""
        for stage in self._stages:
            await stage.close(drain=drain)

    def next_offsets(self) -> Mapping[TP, int]:
        """Return the next offset of every open task."""
        return {
            TP(stage.topic, partition): offset
            for stage in self._stages
            for partition, offset in stage.next_offsets().items()
        }

    async def _open(self, assigned: set[TP]) -> None:
        self._refuse_other_partitions()
        owned = [
            (stage, tp) for stage in self._stages for tp in assigned if tp.topic == stage.topic
        ]
        changelogs = [tp for tp in assigned if tp.topic == self._settings.changelog]
        # All at once: each opening waits for the broker several times.
        await asyncio.gather(*(stage.open(tp.partition) for stage, tp in owned))
        # Only now: until its fencing a zombie may add records and commit their offsets. Beside ends
        # that were read earlier, those offsets would look like those of a topic that was recreated.
        ranges = await self._offset_ranges.read_with_retry(*(tp for _, tp in owned), *changelogs)
        store = self._table.store
        for tp in changelogs:
            store.begins[tp.partition] = ranges[tp].log_start
            store.refuse_foreign(tp, ranges[tp].log_end)
        for stage, tp in owned:
            stage.place(tp.partition, ranges[tp])
        for stage in self._counting:
            for partition, task in stage.tasks.items():
                tp = TP(self._settings.changelog, partition)
                refuse_lost_rows(tp, store.persisted_offset(tp), ranges[tp], task.committed[0])

    def _refuse_other_partitions(self) -> None:
        settings = self._settings
        for topic in (settings.lines, settings.partials, settings.changelog):
            found = self._member.consumer.topic_partitions(topic)
            if found == 0 and topic != settings.lines:
                raise topic_gone(topic)
            if found not in (None, 0, settings.partitions):
                raise other_partitions(topic, found, settings.partitions)

    def _refuse_lost_offsets(self) -> None:
        # The offsets of a group expire all at once. Those of lines alone may go with their topic.
        for stage in self._counting:
            for partition, task in stage.tasks.items():
                if self._table.owned[partition].watermarks and not task.begun:
                    refuse_lost_offset(task.source, self._settings.id)

    def _is_recovered(self) -> bool:
        return self._member.recovered_generation == self._opened


class Rejoin:
    """Requests a new assignment for a fenced worker if the group does not rebalance by itself.

    A fenced task usually means that the group has moved on, and a rebalance follows. If the broker
    has aborted a transaction instead, no rebalance comes, and a new assignment reopens the task.
    """

    def __init__(self, member: GroupMember) -> None:
        self._member = member

    def when_fenced(self) -> None:
        """Request a new assignment after REJOIN_SECONDS, unless a rebalance has begun by then."""
        count = self._member.rebalancing_count

        def request() -> None:
            if self._member.rebalancing_count == count and not self._member.should_stop:
                self._member.rejoin()

        asyncio.get_running_loop().call_later(REJOIN_SECONDS, request)
