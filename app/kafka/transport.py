"""A Faust transport that hands agents one message a block and commits nothing.

Transactional producers commit the offsets (app/kafka/producer.py). A commit of Faust's own would
move the offsets backwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from typing import TYPE_CHECKING, Any, cast

from aiokafka.errors import KafkaError
from faust.serializers.schemas import Schema
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import ConsumerMessage

from app.kafka.blocks import AS_BATCHES, Block

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from faust.types import TP, AppT, Message, TopicT
    from yarl import URL

    from app.memory import ByteQuota

__all__ = ["BlockConsumer", "BlockSchema", "BlockTransport", "block_topic"]

FULL_SECONDS = 0.02
"""Wait before the next check whether a topic's byte quota has room again."""


class BlockSchema(Schema[bytes, Block]):
    """Passes a message's block through unchanged."""

    def loads_key(self, app: Any, message: Message, **_: Any) -> Any:
        """Return the key as it is."""
        return message.key

    def loads_value(self, app: Any, message: Message, **_: Any) -> Any:
        """Return the block."""
        return message.value


class _Thread(driver.AIOKafkaConsumerThread):
    logger = logging.getLogger("faust.consumer")  # quieter than Faust's own

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust has no setting for these two. The consumer reads them when it starts.
        consumer._isolation_level = "read_committed"  # noqa: SLF001
        consumer._value_deserializer = AS_BATCHES  # noqa: SLF001
        return consumer

    def _start_thread(self) -> None:
        # The start waits for this thread, gets the error too, and ends the worker with one line.
        with contextlib.suppress(KafkaError):
            super()._start_thread()

    def on_crash(self, msg: str, *fmt: Any, **kwargs: Any) -> None:
        """Print a crash with its traceback, but no KafkaError: the start reports that one."""
        if not isinstance(sys.exception(), KafkaError):
            super().on_crash(msg, *fmt, **kwargs)

    def _stopped_set(self) -> None:
        # A thread that ended by itself has closed its loop.
        if not self.thread_loop.is_closed():
            super()._stopped_set()

    async def on_thread_stop(self) -> None:
        """Close the consumer; suppress the errors of fetches that this cancels."""
        with contextlib.suppress(asyncio.CancelledError, KafkaError):
            await super().on_thread_stop()

    async def seek_here(self, partition: TP, offset: int) -> None:
        """Seek; runs in this thread's own loop."""
        self.seek(partition, offset)

    async def give_back(self, partition: TP, first: int, end: int) -> None:
        """Seek back to `first`, unless the position is no longer `end`, where the fetch left it."""
        assignment = self._ensure_consumer()._subscription.subscription.assignment  # noqa: SLF001
        state = assignment.state_value(partition) if assignment is not None else None
        if state is not None and state.has_valid_position and state.position == end:
            self.seek(partition, first)

    def rejoin(self) -> None:
        """Ask the group for a new assignment. Safe to call from any thread."""
        coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001
        self.thread_loop.call_soon_threadsafe(coordinator.request_rejoin)


class BlockConsumer(driver.Consumer):
    """Faust's consumer, with one message a block; it commits nothing."""

    logger = logging.getLogger("faust.consumer")  # quieter than Faust's own

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deliver = self.callback
        self.callback = self._deliver_or_give_back

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        # Do not fetch a topic whose blocks use up its quota: the agents work on those first.
        quotas = cast("BlockTransport", self.transport).quotas
        full = {topic for topic, quota in quotas.items() if quota.full}
        if full and active_partitions is not None:
            active_partitions = {tp for tp in active_partitions if tp.topic not in full}
            if not active_partitions:
                await asyncio.sleep(FULL_SECONDS)
                return {}
        return await super()._getmany(active_partitions, timeout)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """Yield one message a partition, whose value is the Block that the fetch brought."""
        while not self.flow_active and not self.should_stop:
            await self.wait(cast("Any", self.can_resume_flow))
        # Read the generation only now: after a pause, the fetch belongs to the new assignment.
        generation = self.app.consumer_generation_id
        records, active = await self._wait_next_records(timeout)
        if records is None or self.should_stop:
            return
        quotas = cast("BlockTransport", self.transport).quotas
        for partition, batches in records.items():
            if self._is_wanted(partition, active, generation):
                end = self.highwater(partition)
                self.app.monitor.track_tp_end_offset(partition, end)
                block = Block.of(partition, batches, generation, end)
                if (quota := quotas.get(partition.topic)) is not None:
                    quota.count(block.records, block.size)
                yield partition, self._as_message(partition, block)
            else:
                await self._give_back(partition, batches[0].first, batches[-1].next)

    def _is_wanted(self, partition: TP, active: set[TP] | None, generation: int) -> bool:
        """Whether no rebalance has overtaken a fetch of `partition` in `generation`."""
        current = self.flow_active and self.app.consumer_generation_id == generation
        return current and (
            active is None or partition in active or partition in self._buffered_partitions
        )

    async def _deliver_or_give_back(self, message: Message) -> None:
        """Deliver a block to Faust, or seek back to it where Faust has no place for it yet.

        Faust resumes the flow after a recovery without a check whether the next rebalance has
        begun. It then has none of the new assignment's partitions in its index.
        """
        try:
            await self._deliver(message)
        except KeyError as error:
            if error.args != (message.tp,):
                raise
            block = cast("Block", message.value)
            await self._give_back(message.tp, block.first, block.next)
            await asyncio.sleep(FULL_SECONDS)

    async def _give_back(self, partition: TP, first: int, end: int) -> None:
        # Nothing else fetches a block of the changelog again: recovery would wait for it for ever,
        # or miss its rows.
        thread = cast("_Thread", self._thread)
        giving = thread.give_back(partition, first, end)
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(giving, thread.thread_loop))

    def _as_message(self, partition: TP, block: Block) -> ConsumerMessage:
        return ConsumerMessage(
            topic=block.topic,
            partition=block.partition,
            offset=block.next - 1,
            timestamp=block.records.timestamps[-1] / 1000 if len(block.records) else 0.0,
            timestamp_type=0,
            headers=None,
            key=b"",  # recovery refuses a message without a key
            value=cast("bytes", block),
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=partition,
            generation_id=block.generation,
        )

    async def perform_seek(self) -> None:
        """Seek every partition to the next offset of its task."""
        assignment = self.assignment()
        for partition, offset in cast("BlockTransport", self.transport).next_offsets().items():
            if partition in assignment:
                await self.seek(partition, offset)

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Seek and wait for the positions; skip partitions that a rebalance has taken away.

        Faust's recovery may call this while the next assignment changes its partitions. Offsets are
        None then, or partitions are missing. Recovery restarts for the next assignment.
        """
        assignment = self.assignment()
        kept = {
            partition: offset
            for partition, offset in partitions.items()
            if offset is not None and partition in assignment
        }
        if kept:
            await super().seek_wait(kept)

    async def _seek(self, partition: TP, offset: int) -> None:
        # Faust would seek from this thread, while aiokafka's fetcher runs in its own.
        thread = cast("_Thread", self._thread)
        seeking = thread.seek_here(partition, offset)
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(seeking, thread.thread_loop))

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        # A block's message has one offset of many. Faust would take the others for gaps, and keep
        # and sort them until its next commit, which never comes.
        pass

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit nothing: transactional producers commit the offsets."""
        return False

    def rejoin(self) -> None:
        """Ask the group for a new assignment, which reopens every task and store."""
        cast("_Thread", self._thread).rejoin()


class BlockTransport(driver.Transport):
    """Faust's Kafka transport with blocks for messages.

    `quotas` limits, by topic, the bytes of blocks in memory. `next_offsets` returns, for each owned
    partition, the offset to read next.
    """

    Consumer = BlockConsumer

    def __init__(
        self,
        urls: list[URL],
        app: AppT,
        quotas: Mapping[str, ByteQuota],
        next_offsets: Callable[[], Mapping[TP, int]],
    ) -> None:
        super().__init__(urls, app)
        self.quotas = quotas
        self.next_offsets = next_offsets


def block_topic(app: AppT, name: str) -> TopicT:
    """Return the topic `name`, whose messages are blocks."""
    # Without acks: Faust keeps acked messages until its next commit, which never comes.
    return app.topic(name, schema=BlockSchema(key_type=bytes, value_type=bytes), acks=False)
