"""The Faust application: its configuration, its timers, and where Faust calls its parts."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import faust
from yarl import URL

from app.errors import ConfigurationError
from app.kafka.transport import BlockTransport
from app.logs import config
from app.worker.address import own_url
from app.worker.lifecycle import Failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from faust.tables.manager import TableManager
    from faust.types import TP
    from faust.types.web import Web

    from app.kafka.transport import BlockConsumer
    from app.memory import ByteQuota
    from app.settings import Settings
    from app.worker.lifecycle import Lifecycle
    from app.worker.rebalance import TaskManager
    from tables.word_counts import WordCounts

__all__ = ["Application", "Parts"]

FETCH_BYTES = 1 << 20
"""Bytes that one fetch brings of one partition: the size of a block."""

QUEUED_BLOCKS = 16
"""Maximum number of blocks that wait for an agent; then fetching stops."""

SESSION_SECONDS = 20.0
"""How long a worker may be silent before its partitions go to others; Faust's default is 60."""

METADATA_SECONDS = 30.0
"""Longest time until a worker notices that a topic was deleted, recreated or given partitions."""


class Parts(NamedTuple):
    """The parts of an application, made for it by `compose`."""

    table: WordCounts
    tasks: TaskManager
    lifecycle: Lifecycle
    web: Web


class Application(faust.App):
    """A Faust application whose stages own partitions by fenced transactional producers.

    Faust's tables, agents and web server need their application when they are made. So the
    constructor calls `compose` with the configured Faust application, and keeps the parts that
    `compose` returns. `quotas` limits, by topic, the bytes of fetched blocks in memory.
    """

    logger = logging.getLogger("faust.app")  # quieter than Faust's own

    def __init__(
        self,
        settings: Settings,
        quotas: Mapping[str, ByteQuota],
        compose: Callable[[Application, Failure], Parts],
    ) -> None:
        brokers = [URL(f"kafka://{broker}") for broker in settings.broker]
        super().__init__(
            settings.id,
            broker=brokers,
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
        self._failure = Failure(self)
        self.transport = BlockTransport(brokers, self, quotas, self._next_offsets)
        self._parts = compose(self, self._failure)
        self.on_rebalance_complete.connect(self._start_tasks)

    @property
    def table(self) -> WordCounts:
        """The table of counts."""
        return self._parts.table

    @property
    def failure(self) -> BaseException | None:
        """The error that stops the worker; None if there is none."""
        return self._failure.error

    @property
    def recovered_generation(self) -> int | None:
        """The group's generation whose recovery has ended; None while a newer one is pending."""
        recovery = cast("TableManager", self.tables).recovery
        if recovery.signal_recovery_start.is_set():
            return None
        return recovery._generation_id  # noqa: SLF001 - Faust has no public name for it

    def add_timer(self, interval_ms: int, work: Callable[[], Awaitable[Any]]) -> None:
        """Run `work` every `interval_ms`, or at once where the previous run took longer.

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
        self._failure.fail(error)

    def rejoin(self) -> None:
        """Ask the group for a new assignment, which reopens every task and store."""
        cast("BlockConsumer", self.consumer).rejoin()

    # Faust calls these

    async def _on_partitions_revoked(self, revoked: set[TP]) -> None:
        await self._parts.tasks.release()
        await super()._on_partitions_revoked(revoked)

    async def _on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        # Faust stops the flow only if there was something to revoke. Otherwise a block that is
        # fetched while tasks are opened would reach Faust before Faust has its partition.
        self.consumer.stop_flow()
        await self._parts.tasks.take_over(assigned, generation_id)
        await super()._on_partitions_assigned(assigned, generation_id)

    async def _start_tasks(self, *_: Any, **__: Any) -> None:
        await self._parts.tasks.start()

    def _next_offsets(self) -> Mapping[TP, int]:
        return self._parts.tasks.next_offsets()

    def _new_web(self) -> Web:
        return self._parts.web

    async def on_first_start(self) -> None:
        """Open the sink before anything is counted."""
        await super().on_first_start()
        await self._parts.lifecycle.start()

    async def on_stop(self) -> None:
        """Drain the tasks, flush their changes, close."""
        await self._parts.lifecycle.drain()
        await super().on_stop()
        await self._parts.lifecycle.close()


def _timing() -> dict[str, Any]:
    """Return how soon a worker notices changes of the group; Faust's own variables win."""
    wanted = {
        "broker_session_timeout": SESSION_SECONDS,
        "consumer_metadata_max_age_ms": int(METADATA_SECONDS * 1000),
    }
    return {name: value for name, value in wanted.items() if name.upper() not in os.environ}


def _canonical_url(settings: Settings) -> URL:
    try:
        return own_url(settings)
    except ValueError:
        raise ConfigurationError(
            f"WORDCOUNT_WEB_HOST={settings.web_host}: is neither a name nor an address; "
            "write it as 127.0.0.1, or 0.0.0.0 for every address of this machine"
        ) from None
