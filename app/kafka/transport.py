"""A Faust transport that hands agents one message a block and commits nothing.

Offsets are committed by the writers, inside their transactions (app/kafka/producer.py). Were Faust
to commit too, it would move them backwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from aiokafka.errors import KafkaError
from faust.serializers.schemas import Schema
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import ConsumerMessage

from app.faultpoints import lost
from app.kafka.blocks import AS_BATCHES, Block

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from faust.types import TP, Message

    from app.memory import ByteQuota

__all__ = ["BlockConsumer", "BlockSchema", "BlockTransport"]

FULL_SECONDS = 0.02
"""Wait before it is looked again whether there is memory for what comes next."""


class BlockSchema(Schema[bytes, Block]):
    """Hands a message's block through as it is."""

    def loads_key(self, app: Any, message: Message, **_: Any) -> Any:
        """Return the key as it is."""
        return message.key

    def loads_value(self, app: Any, message: Message, **_: Any) -> Any:
        """Return the block."""
        return message.value


class _Thread(driver.AIOKafkaConsumerThread):
    logger = logging.getLogger("faust.consumer")  # what it says as a Faust service

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust has no setting for these two; the consumer reads them when it starts.
        consumer._isolation_level = "read_committed"  # noqa: SLF001
        consumer._value_deserializer = AS_BATCHES  # noqa: SLF001
        return consumer

    def _start_thread(self) -> None:
        # The start that waits for this thread is told, and ends the worker with one line.
        with contextlib.suppress(KafkaError):
            super()._start_thread()

    def on_crash(self, msg: str, *fmt: Any, **kwargs: Any) -> None:
        """Print a crash with its traceback; not that Kafka is away, which the start says."""
        if not isinstance(sys.exception(), KafkaError):
            super().on_crash(msg, *fmt, **kwargs)

    def _stopped_set(self) -> None:
        # The loop of a thread that ended by itself is closed.
        if not self.thread_loop.is_closed():
            super()._stopped_set()

    async def on_thread_stop(self) -> None:
        """Close the consumer. What the end cuts off is no news: nothing there is committed."""
        with contextlib.suppress(asyncio.CancelledError, KafkaError):
            await super().on_thread_stop()

    async def seek_here(self, partition: TP, offset: int) -> None:
        """Seek; to be run in this thread's own loop."""
        self.seek(partition, offset)

    async def give_back(self, partition: TP, first: int, end: int) -> None:
        """Read from `first` again, if the position is still `end`, where that fetch left it."""
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

    logger = logging.getLogger("faust.consumer")  # what it says as a Faust service

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._conduct = self.callback
        self.callback = self._hand_on

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        # Not of a topic whose blocks have used up their memory: the agents work on those first.
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
        # Not before: what is fetched when the flow goes on again is of the new assignment.
        generation = self.app.consumer_generation_id
        records, active = await self._wait_next_records(timeout)
        if records is None or self.should_stop:
            return
        quotas = cast("BlockTransport", self.transport).quotas
        for partition, batches in records.items():
            current = self.flow_active and self.app.consumer_generation_id == generation
            if (
                current
                and not lost("blocks.fetched")
                and (
                    active is None or partition in active or partition in self._buffered_partitions
                )
            ):
                end = self.highwater(partition)
                self.app.monitor.track_tp_end_offset(partition, end)
                block = Block.of(partition, batches, generation, end)
                if (quota := quotas.get(partition.topic)) is not None:
                    quota.count(block.records, block.size)
                yield partition, self._as_message(partition, block)
            else:
                await self._give_back(partition, batches[0].first, batches[-1].next)

    async def _hand_on(self, message: Message) -> None:
        """Give a block to Faust, or back to Kafka where Faust does not know its partition yet.

        Faust lets the flow go on after a recovery without looking whether the next rebalance has
        begun, and then knows none of the partitions that it brings.
        """
        try:
            await self._conduct(message)
        except KeyError as error:
            if error.args != (message.tp,):
                raise
            block = cast("Block", message.value)
            await self._give_back(message.tp, block.first, block.next)
            await asyncio.sleep(FULL_SECONDS)

    async def _give_back(self, partition: TP, first: int, end: int) -> None:
        # Nobody would read it again: of a changelog, recovery would wait for it for ever, or miss
        # its rows.
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
        """Seek every partition to the offset that its task expects next."""
        expected = cast("BlockTransport", self.transport).next_offsets
        assignment = self.assignment()
        for partition, offset in expected().items():
            if partition in assignment:
                await self.seek(partition, offset)

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Seek, and wait for the positions; not where a rebalance has overtaken it.

        Faust's recovery may come to seek when the next assignment has begun to change what it is
        about: offsets are None then, or partitions are gone. It begins anew for that one.
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
        # Faust seeks from this thread, in the middle of what aiokafka's fetcher does in its own.
        thread = cast("_Thread", self._thread)
        seeking = thread.seek_here(partition, offset)
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(seeking, thread.thread_loop))

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        # A block's message has one offset of many. What Faust takes for gaps it would keep and sort
        # until it commits, at ever greater cost.
        pass

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit nothing: the writers do, inside their transactions."""
        return False

    def rejoin(self) -> None:
        """Ask the group for a new assignment, which opens every task and store afresh."""
        cast("_Thread", self._thread).rejoin()


class BlockTransport(driver.Transport):
    """Faust's Kafka transport with blocks for messages.

    `next_offsets` tells, for each owned partition, the offset that is to be read next;
    `quotas`, by topic, how much of it may be held at once.
    """

    Consumer = BlockConsumer
    quotas: Mapping[str, ByteQuota] = MappingProxyType({})
    next_offsets: Callable[[], Mapping[TP, int]] = staticmethod(dict)
