"""One run of a producer: opens a source, delivers its lines to a topic, and ends on a signal."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from app.errors import ConfigurationError
from app.signals import on_end_signal
from app.sources.buffer.source import BufferedSource
from app.sources.buffer.spools import spool_for
from app.sources.delivery.contract import Totals
from app.sources.delivery.idempotent import IdempotentDelivery
from app.sources.delivery.intake import Intake
from app.sources.delivery.packing import PACKED
from app.sources.delivery.positions import TOPIC_CONFIG
from app.sources.delivery.producer import KafkaProducer
from app.sources.delivery.topic import ensure_topic
from app.sources.delivery.transactional import TransactionalDelivery
from app.sources.delivery.transactions import KafkaTransactions
from app.sources.notices import notify
from app.sources.progress import reported
from app.sources.pump import pump
from app.times import iso

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from app.sources.base import Source
    from app.sources.delivery.contract import Delivery
    from app.sources.delivery.topic import TopicLimits
    from app.sources.progress import LastWarning

__all__ = ["Abandoned", "BufferOptions", "Run", "Summary", "Target", "stopped_by_signals"]

_NOTHING = Totals(0, 0, 0, 0, 0, 0)


class Abandoned(Exception):  # noqa: N818 - a decision, not an error
    """A second signal ended the run while lines still waited for Kafka."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The topic that lines go to, and the topics that the run creates if they are missing."""

    brokers: Sequence[str]
    topic: str
    positions_topic: str
    group: str
    """Prefix of transactional ids."""
    partitions: int
    replication: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferOptions:
    """Sizes and place of the buffer for lines that cannot be read again."""

    memory_bytes: int
    disk_bytes: int
    """0: no buffer."""
    folder: Path
    """Directory of the spools of all purposes."""
    purpose: str
    """The input and the topic: the next run of the same purpose delivers the lines left on disk."""
    write_ahead: bool


class Summary(NamedTuple):
    """The figures of a run."""

    totals: Totals
    seconds: float

    @property
    def lines_per_second(self) -> float:
        """Acknowledged lines a second."""
        return self.totals.acknowledged / self.seconds

    def figures(self) -> dict[str, Any]:
        """All figures by their documented names."""
        return {
            "lines": self.totals.acknowledged,
            "not_delivered": self.totals.waiting,
            "refused_words": self.totals.refused,
            "redated_lines": self.totals.restamped,
            "messages": self.totals.messages,
            "bytes": self.totals.bytes,
            "seconds": round(self.seconds, 3),
            "lines_per_s": round(self.lines_per_second, 1),
        }


class Run:
    """Delivers everything that a source yields.

    Delivery is transactional if the source has a name, otherwise idempotent. The first signal stops
    the source and waits for Kafka, the second one abandons the lines that still wait. `warning`
    holds the Kafka client's last warning, for the report of an outage.
    """

    def __init__(
        self,
        source: Source,
        target: Target,
        *,
        warning: LastWarning,
        buffer: BufferOptions | None = None,
        packed_bytes: int = PACKED,
        lines_per_second: float = 0,
        timestamp_ms: int | None = None,
    ) -> None:
        self._source = _buffered(source, buffer)
        self._target = target
        self._warning = warning
        self._packed_bytes = packed_bytes
        self._lines_per_second = lines_per_second
        self._timestamp_ms = timestamp_ms
        self._delivery: Delivery | None = None
        self._started = time.monotonic()
        self.abandoned = False
        """Whether a second signal ended the run."""

    @property
    def connected(self) -> bool:
        """Whether Kafka was reached, so that lines may have been taken in."""
        return self._delivery is not None

    @property
    def failures(self) -> int:
        """Errors of the source that did not end it."""
        return self._source.failures

    @property
    def summary(self) -> Summary:
        """The figures so far."""
        totals = _NOTHING if self._delivery is None else self._delivery.totals
        return Summary(totals, time.monotonic() - self._started)

    async def run(self) -> None:
        """Run until the source ends or a signal stops it. Raises WordCountError."""
        self._started = time.monotonic()
        try:
            with stopped_by_signals(self._source, self._on_stop):
                await self._deliver()
        except Abandoned:
            self.abandoned = True

    def _on_stop(self) -> bool:
        if self._delivery is None:
            return False
        waiting = self._delivery.totals.waiting
        notify(f"Stopping: {waiting} lines wait for Kafka; Ctrl-C again gives them up")
        return True

    async def _deliver(self) -> None:
        source = self._source
        try:
            await source.open()
            limits = await self._ensure_topics()
            async with self._make_delivery(limits) as delivery:
                self._delivery = delivery
                async with reported(source, delivery, self._warning):
                    if source.name:
                        await source.resume(delivery.resumed)
                    await pump(
                        source,
                        delivery,
                        lines_per_second=self._lines_per_second,
                        timestamp_ms=self._timestamp_ms,
                    )
        finally:
            await source.close()

    async def _ensure_topics(self) -> TopicLimits:
        """Create missing topics; return the limits of the lines' topic."""
        target = self._target
        limits = await ensure_topic(
            target.brokers,
            target.topic,
            partitions=target.partitions,
            replication=target.replication,
        )
        self._check_timestamp(limits)
        if self._source.name:
            await ensure_topic(
                target.brokers,
                target.positions_topic,
                partitions=1,
                replication=target.replication,
                config=TOPIC_CONFIG,
            )
        return limits

    def _check_timestamp(self, limits: TopicLimits) -> None:
        """Raise ConfigurationError for a time of all lines that the topic refuses."""
        if self._timestamp_ms is None:
            return
        if refusal := limits.times.refusal(self._timestamp_ms):
            raise ConfigurationError(
                f"--event-time {iso(self._timestamp_ms)}: topic {self._target.topic} {refusal}"
            )

    def _make_delivery(self, limits: TopicLimits) -> Delivery:
        source, target = self._source, self._target
        intake = Intake(target.topic, limits, packed_bytes=self._packed_bytes)
        if not source.name:
            producer = KafkaProducer(
                target.brokers,
                target.topic,
                batch_bytes=intake.message_bytes,
                lingers=source.lingers,
            )
            return IdempotentDelivery(producer, intake, target.topic)
        transactions = KafkaTransactions(
            target.brokers,
            target.topic,
            group=target.group,
            name=source.name,
            positions_topic=target.positions_topic,
            batch_bytes=intake.message_bytes,
        )
        return TransactionalDelivery(transactions, intake, target.topic, name=source.name)


def _buffered(source: Source, options: BufferOptions | None) -> Source:
    """The source, behind a buffer if its lines cannot be read again."""
    if options is None or source.can_replay or not options.disk_bytes:
        return source
    spool = spool_for(options.purpose, options.folder, options.disk_bytes)
    return BufferedSource(source, spool, options.memory_bytes, write_ahead=options.write_ahead)


@contextmanager
def stopped_by_signals(source: Source, on_stop: Callable[[], bool]) -> Iterator[None]:
    """Stop the source at the first signal to end, raise Abandoned in the body at the second.

    `on_stop` is called at the first signal. If it returns False, there is nothing to wait for: then
    the first signal raises Abandoned.
    """
    body = asyncio.current_task()
    abandoned = False

    def stop() -> None:
        nonlocal abandoned
        first = not source.stopping.is_set()
        source.stop()
        if (first and on_stop()) or body is None:
            return
        abandoned = True
        body.cancel()

    try:
        with on_end_signal(stop):
            yield
    except asyncio.CancelledError:
        if abandoned:
            raise Abandoned from None
        raise
