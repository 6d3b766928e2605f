"""The Faust application: what starts, in which order, and what a rebalance does to it.

rebalance: close tasks ─► open tasks (fence zombies) ─► recover the table ─► tasks work
stop:      drain tasks ─► last checkpoints ─► last flush ─► close
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, cast

import faust
from aiokafka.errors import IllegalStateError, KafkaError, KafkaTimeoutError
from faust.types import TP
from yarl import URL

from app.errors import (
    ConfigurationError,
    UnavailableError,
    WordCountError,
    exit_status,
    print_error,
)
from app.faultpoints import lost
from app.kafka.offset_loss import (
    OffsetRange,
    refuse_lost_offset,
    refuse_lost_rows,
    refuse_offset_loss,
    topic_gone,
)
from app.kafka.offsets import CommittedOffsets
from app.kafka.stage import Stage
from app.kafka.topics import other_partitions
from app.kafka.transport import BlockSchema, BlockTransport
from app.kafka.watch import BrokerWatch
from app.logs import config
from app.memory import ByteQuota, give_back
from app.threads import in_thread
from app.worker.address import own_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from faust.tables.manager import TableManager
    from faust.types import StreamT

    from agents.flush import Flusher
    from app.cassandra.sink import CassandraSink
    from app.kafka.blocks import Block
    from app.kafka.offset_loss import OnOffsetLoss
    from app.kafka.stage import PartitionTask, Work
    from app.kafka.transport import BlockConsumer
    from app.memory import MemoryBudget
    from app.settings import Settings
    from tables.word_counts import WordCounts

__all__ = ["Application"]

logger = logging.getLogger(__name__)

REJOIN_SECONDS = 3.0
"""How long a fenced worker waits to be told of a rebalance before it asks for one."""

RESEEK_SECONDS = 1.0
"""Time between two seeks of one partition, until what it lacks has come."""

RETRY_SECONDS = 1.0
"""Wait before Kafka is asked once more what it could not tell."""

IDLE_SECONDS = 5.0
"""How often is looked whether partitions that bring nothing really have nothing."""

GIVE_BACK_SECONDS = 30.0
"""How often garbage is collected and free memory goes back to the kernel."""

LAST_FLUSH_SECONDS = 10.0
"""How long stopping waits for Cassandra; what is left then is flushed by the next owner."""

END_SECONDS = 15.0
"""How long the process may take to end once its work is safe."""

FETCH_BYTES = 1 << 20
"""What one fetch brings of one partition, in bytes: the size of a block."""

QUEUED_BLOCKS = 16
"""Blocks that wait for an agent before fetching stops."""

SESSION_SECONDS = 20.0
"""How long a worker may be silent before its partitions go to others; Faust's default is 60."""

START_SECONDS = 15.0
"""How long a start may take before it is asked whether Kafka is still there."""


METADATA_SECONDS = 30.0
"""How soon a worker sees that a topic has been deleted, made anew or given more partitions."""


def _timing() -> dict[str, Any]:
    """How soon a worker sees what others do; Faust's own variables win."""
    wanted = {
        "broker_session_timeout": SESSION_SECONDS,
        "consumer_metadata_max_age_ms": int(METADATA_SECONDS * 1000),
    }
    return {name: value for name, value in wanted.items() if name.upper() not in os.environ}


def gone_while_starting(settings: Settings) -> UnavailableError:
    """Kafka answered when the worker was started, and then no more."""
    return UnavailableError(
        f"Kafka at {', '.join(settings.broker)} went away while the worker started; "
        "start it again once Kafka is back"
    )


def _canonical_url(settings: Settings) -> URL:
    try:
        return own_url(settings)
    except ValueError:
        raise ConfigurationError(
            f"WORDCOUNT_WEB_HOST={settings.web_host}: is neither a name nor an address; "
            "write it as 127.0.0.1, or 0.0.0.0 for every address of this machine"
        ) from None


class Application(faust.App):
    """A Faust application whose stages own partitions by fenced writers.

    `failure` is what stopped the worker, if it was not asked to stop.
    """

    logger = logging.getLogger("faust.app")  # what it says as a Faust service
    table: WordCounts
    sink: CassandraSink
    flusher: Flusher
    failure: BaseException | None = None

    def __init__(self, settings: Settings, memory_budget: MemoryBudget) -> None:
        super().__init__(
            settings.id,
            broker=[URL(f"kafka://{broker}") for broker in settings.broker],
            store="memory://",  # tables bring their own
            topic_partitions=settings.partitions,
            topic_replication_factor=settings.replication,
            topic_allow_declare=False,  # every topic has been made before the start
            topic_disable_leader=True,
            consumer_auto_offset_reset="earliest",
            consumer_max_fetch_size=FETCH_BYTES,
            broker_max_poll_records=None,
            stream_buffer_maxsize=QUEUED_BLOCKS,
            stream_wait_empty=False,
            **_timing(),
            stream_recovery_delay=0.0,
            canonical_url=_canonical_url(settings),
            web_bind=settings.web_host,
            web_port=settings.web_port,
            logging_config=config("INFO", settings.log_format),
        )
        self.settings = settings
        self.offsets = CommittedOffsets(settings.id, settings.broker)
        self.stages: list[Stage] = []
        self.broker = BrokerWatch(settings.broker)
        self._at_work = asyncio.Event()
        self._watching: asyncio.Future[Any] | None = None
        self._looking: dict[TP, asyncio.Task[None]] = {}
        self._idle: dict[TP, tuple[Stage, PartitionTask, int]] = {}
        self._opened = -1
        transport = BlockTransport([URL(f"kafka://{broker}") for broker in settings.broker], self)
        transport.next_offsets = self._next_offsets
        transport.quotas = {
            settings.lines: ByteQuota(memory_budget.lines),
            settings.partials: ByteQuota(memory_budget.partials),
        }
        self.transport = transport
        self.on_rebalance_complete.connect(self._start_tasks)
        self.add_timer(round(IDLE_SECONDS * 1000), lambda: self.guard(self.look_at_idle))
        self.add_timer(round(GIVE_BACK_SECONDS * 1000), lambda: in_thread(give_back))

    def add_stage(
        self, name: str, topic: str, work: Work, on_offset_loss: OnOffsetLoss = refuse_offset_loss
    ) -> Stage:
        """Add an agent that hands the blocks of `topic` to tasks; `work` runs once in each task."""
        stage = Stage(
            name,
            topic,
            self.settings.id,
            self.settings.broker,
            self.offsets,
            work,
            on_failure=self.fail,
            on_fenced=self._on_fenced,
            on_offset_loss=on_offset_loss,
        )
        self.stages.append(stage)

        async def feed(blocks: StreamT[Block]) -> None:
            async for block in blocks:
                if not lost("blocks.fed") and not await stage.put(block.taken()):
                    self._look_again(stage, block.partition)

        # Faust keeps what is acked until it commits, which is never here.
        source = self.topic(topic, schema=BlockSchema(key_type=bytes, value_type=bytes), acks=False)
        self.agent(source, name=name, concurrency=1)(feed)
        return stage

    def add_timer(self, interval_ms: int, work: Callable[[], Awaitable[Any]]) -> None:
        """Run `work` every `interval_ms`, or at once where the run before took longer.

        Faust's own timer waits a whole interval after each run.
        """

        async def run() -> None:
            loop = asyncio.get_running_loop()
            due = loop.time()
            while not self.should_stop:
                due = max(due + interval_ms / 1000, loop.time())
                await self.sleep(due - loop.time())
                if not self.should_stop:
                    await work()

        self.task(run)

    def fail(self, error: BaseException) -> None:
        """Stop the worker at once, with `error` as the reason; committed work stays as it is."""
        if self.failure is None:
            self.failure = error
            if not isinstance(error, WordCountError):
                logger.critical("the worker can't go on", exc_info=error)
            os.kill(os.getpid(), signal.SIGTERM)

    def rejoin(self) -> None:
        """Ask for a new assignment: every task and store is opened afresh."""
        cast("BlockConsumer", self.consumer).rejoin()

    # Rebalances

    async def _on_partitions_revoked(self, revoked: set[TP]) -> None:
        self._opened = -1
        await self._close_tasks()
        await self.table.forget()
        await super()._on_partitions_revoked(revoked)

    async def _on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self._opened = -1
        # Faust stops the flow only if there was something to revoke. What a worker that had nothing
        # fetched in the time that opening takes would reach Faust before it knows the partition.
        self.consumer.stop_flow()
        # Before recovery: what it reads of the changelog is final only once zombies are fenced.
        try:
            await self._close_tasks()
            await self.table.forget()
            if not self.should_stop:
                await self._open_tasks(assigned)
        except Exception as error:
            if not self.should_stop:
                self.fail(error)
        self._opened = generation_id
        await super()._on_partitions_assigned(assigned, generation_id)

    async def _open_tasks(self, assigned: set[TP]) -> None:
        self._refuse_other_partitions()
        owned = [(stage, tp) for stage in self.stages for tp in assigned if tp.topic == stage.topic]
        changelogs = [tp for tp in assigned if tp.topic == self.settings.changelog]
        ranges = await self._await_offset_ranges(*(tp for _, tp in owned), *changelogs)
        for tp in changelogs:
            self.table.store.begins[tp.partition] = ranges[tp].log_start
            self.table.store.refuse_foreign(tp, ranges[tp].log_end)
        await asyncio.gather(*(stage.open(tp.partition, ranges[tp]) for stage, tp in owned))
        for stage in self.stages:
            if stage.topic == self.table.source:
                for partition, task in stage.tasks.items():
                    tp = TP(self.settings.changelog, partition)
                    stored = self.table.store.persisted_offset(tp)
                    refuse_lost_rows(tp, stored, ranges[tp], task.committed[0])

    def _refuse_other_partitions(self) -> None:
        for topic in (self.settings.lines, self.settings.partials, self.settings.changelog):
            found = self.consumer.topic_partitions(topic)
            if found == 0 and topic != self.settings.lines:
                raise topic_gone(topic)
            if found not in (None, 0, self.settings.partitions):
                raise other_partitions(topic, found, self.settings.partitions)

    async def _await_offset_ranges(self, *partitions: TP) -> dict[TP, OffsetRange]:
        """What Kafka holds of these partitions, once it can tell: one may have no leader now."""
        while True:
            try:
                return await self._offset_ranges(*partitions)
            except KafkaError as error:
                passes = error.retriable or isinstance(error, KafkaTimeoutError)
                if self.should_stop or not passes:
                    raise
                logger.warning("can't ask where partitions begin and end, trying again: %r", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _offset_ranges(self, *partitions: TP) -> dict[TP, OffsetRange]:
        """What Kafka holds of these partitions now."""
        if not partitions:
            return {}
        # One after the other: each call goes to the consumer's thread, which does one at a time.
        first = await self.consumer.earliest_offsets(*partitions)
        end = await self.consumer.highwaters(*partitions)
        return {tp: OffsetRange(first[tp], end[tp]) for tp in partitions}

    async def _close_tasks(self, *, drain: bool = False) -> None:
        for stage in self.stages:
            await stage.close(drain=drain)

    async def _start_tasks(self, *_: Any, **__: Any) -> None:
        # The recovery of an older assignment may end while the tasks of a newer one are opened:
        # they must not work before the table has been recovered for them.
        if not self._is_recovered():
            return
        try:
            counted = [stage for stage in self.stages if stage.topic == self.table.source]
            await self.table.load([partition for stage in counted for partition in stage.tasks])
            if not self._is_recovered():
                await self.table.forget()  # the next rebalance has begun meanwhile
                return
            self._refuse_lost_offsets(counted)
            for stage in self.stages:
                stage.start(self.consumer_generation_id)
            self._at_work.set()
        except Exception as error:
            self.fail(error)

    def _refuse_lost_offsets(self, counted: Iterable[Stage]) -> None:
        # Offsets of a group expire all at once. Those of lines alone may go with their topic.
        for stage in counted:
            for partition, task in stage.tasks.items():
                if self.table.owned[partition].watermarks and not task.begun:
                    refuse_lost_offset(task.source, self.settings.id)

    def recovery_remaining(self) -> int:
        """Records of the changelog that recovery has still to read; 0 when there is none."""
        if not self.in_recovery:
            return 0
        remaining = cast("TableManager", self.tables).recovery.active_remaining()
        return sum(max(0, records) for records in remaining.values())

    def _is_recovered(self) -> bool:
        """Whether the recovery that has ended is that of the present assignment."""
        recovery = cast("TableManager", self.tables).recovery
        recovered = recovery._generation_id == self._opened  # noqa: SLF001 - Faust tells no other way
        return recovered and not recovery.signal_recovery_start.is_set()

    def _next_offsets(self) -> Mapping[TP, int]:
        return {
            TP(stage.topic, partition): offset
            for stage in self.stages
            for partition, offset in stage.next_offsets().items()
        }

    def _look_again(self, stage: Stage, partition: int) -> None:
        """Fetch again from where the task stands: a block before the last one did not come."""
        tp = TP(stage.topic, partition)
        if tp not in self._looking:
            task = self._looking[tp] = asyncio.create_task(self._look(stage, tp))
            task.add_done_callback(lambda _: self._looking.pop(tp, None))

    async def look_at_idle(self) -> None:
        """Look where nothing has come since the last look: what is gone brings no block to tell."""
        before, self._idle = self._idle, self._idle_tasks()
        idle = {tp: task for tp, task in self._idle.items() if before.get(tp) == task}
        try:
            ranges = await self._offset_ranges(*idle)
        except (IllegalStateError, KafkaError) as error:
            logger.debug("looking at idle partitions: %r", error)
            return
        for tp, (stage, _, expected) in idle.items():
            if expected < ranges[tp].log_end:
                self._look_again(stage, tp.partition)

    def _idle_tasks(self) -> dict[TP, tuple[Stage, PartitionTask, int]]:
        """Tasks that work and hold nothing, and what they expect next."""
        return {
            TP(stage.topic, partition): (stage, task, task.next_offset)
            for stage in self.stages
            if stage.generation >= 0
            for partition, task in stage.tasks.items()
            if task.committed[0] >= task.next_offset
        }

    async def _look(self, stage: Stage, tp: TP) -> None:
        task, waits = stage.tasks.get(tp.partition), True
        # Again until something has come: what comes of a seek may get lost as well.
        while waits and task is not None and stage.tasks.get(tp.partition) is task:
            waits = await self._seek(stage, task, tp)
            expected = task.next_offset
            await asyncio.sleep(RESEEK_SECONDS)
            waits = waits and task.next_offset == expected

    async def _seek(self, stage: Stage, task: PartitionTask, tp: TP) -> bool:
        """Seek to where a task stands; whether something is to come from there."""
        try:
            offsets = (await self._offset_ranges(tp))[tp]
            stage.reset(tp.partition, offsets)
            if stage.tasks.get(tp.partition) is task and task.next_offset < offsets.log_end:
                await self.consumer.seek(tp, task.next_offset)
        except (IllegalStateError, KafkaError) as error:
            # Not ours any more: the next assignment seeks. Or Kafka is away: asked again.
            logger.debug("looking again at %s: %r", tp, error)
            return True
        except Exception as error:
            self.fail(error)
            return False
        return task.next_offset < offsets.log_end

    def _on_fenced(self) -> None:
        # Usually the group has moved on and a rebalance is on its way. If not (the broker gave up
        # on a transaction of ours), a new assignment puts everything right.
        count = self.rebalancing_count

        def ask() -> None:
            if self.rebalancing_count == count and not self.should_stop:
                self.rejoin()

        asyncio.get_running_loop().call_later(REJOIN_SECONDS, ask)

    # Start and stop

    async def on_first_start(self) -> None:
        """Open the sink before anything is counted."""
        await super().on_first_start()
        self._watching = asyncio.gather(self.broker.run(), self._expect_start())
        await self.sink.open()

    async def _expect_start(self) -> None:
        """Stop a worker that does not get to work since Kafka went away while it started."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._at_work.wait(), START_SECONDS)
        while not self._at_work.is_set():
            if not await self.broker.probe():
                self.fail(gone_while_starting(self.settings))
                return
            await asyncio.sleep(1)

    async def on_stop(self) -> None:
        """Drain the tasks, flush what they changed, close."""
        if self.failure is None:
            await self._close_tasks(drain=True)
            await self._last_flush()
        await self._close_tasks()
        self._end_in_time()
        await super().on_stop()
        await self.sink.close()
        await self.offsets.close()
        if self._watching is not None:
            self._watching.cancel()

    def _end_in_time(self) -> None:
        # All of ours is safe by now. Faust's consumer can hang in its stop when Kafka is away.
        if self.in_worker:
            timer = threading.Timer(END_SECONDS, self._end)
            timer.daemon = True
            timer.start()

    def _end(self) -> None:
        if self.failure is not None:
            print_error(self.failure, as_json=self.settings.log_format == "json")
            os._exit(exit_status(self.failure))
        os._exit(0)

    async def flush(self) -> None:
        """Flush once, unless the application is stopping; an error that won't pass stops it."""
        await self.guard(self.flusher.flush_counts)

    async def guard(self, work: Callable[[], Awaitable[Any]]) -> None:
        """Do some work, unless the application is stopping; an error that won't pass stops it."""
        if self.should_stop:
            return
        try:
            await work()
        except Exception as error:
            if not self.should_stop:  # else the last flush comes to the same
                self.fail(error)

    async def _last_flush(self) -> None:
        try:
            left = await self.flusher.flush_counts(LAST_FLUSH_SECONDS)
        except WordCountError as error:
            self.failure = error
        else:
            if left:
                logger.warning("%d rows are not in Cassandra yet; the next start writes them", left)
