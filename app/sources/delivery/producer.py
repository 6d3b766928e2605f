"""The idempotent producer of aiokafka, as the port of a delivery."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from app.kafka.creation import no_broker
from app.sources.line_splitter import LONGEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.sources.delivery.packing import Message

__all__ = ["START_SECONDS", "KafkaProducer"]

START_SECONDS = 20.0
"""Longest wait for a broker at the start."""

_LINGER_MS = 20
"""How long a message waits for others to share its produce batch."""

_REQUEST_TIMEOUT_MS = 20_000
_STOP_SECONDS = 1.0


class KafkaProducer:
    """Sends messages to one topic, each once and in order within a partition."""

    def __init__(
        self, brokers: Sequence[str], topic: str, *, batch_bytes: int, lingers: bool
    ) -> None:
        self._brokers = brokers
        self._topic = topic
        self._batch_bytes = batch_bytes
        self._linger_ms = _LINGER_MS if lingers else 0

    async def start(self) -> None:
        """Connect and fetch the topic's partitions. Raises UnavailableError."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=list(self._brokers),
            acks="all",
            enable_idempotence=True,
            compression_type="zstd",
            linger_ms=self._linger_ms,
            max_batch_size=self._batch_bytes,
            max_request_size=2 * LONGEST,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )
        # Without this a batch for a partition without a leader fails after a while, idempotent or
        # not, and its lines are lost.
        self._producer._message_accumulator._batch_ttl = math.inf  # noqa: SLF001
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._producer.start()
                await self._producer.partitions_for(self._topic)
        except BaseException as error:
            await self._producer.stop()
            if isinstance(error, KafkaError | OSError):
                raise no_broker(self._brokers, error) from None
            raise

    async def send(self, message: Message, partition: int) -> asyncio.Future[object]:
        """Accept a message; the future is done once Kafka has acknowledged or refused it."""
        future: asyncio.Future[object] = await self._producer.send(
            self._topic,
            message.value,
            partition=partition,
            timestamp_ms=message.timestamp_ms,
            headers=list(message.headers),
        )
        return future

    async def stop(self, *, abandon: bool) -> None:
        """Disconnect; `abandon`: do not wait for messages that are not acknowledged."""
        if not abandon:
            await self._producer.stop()
            return
        # stop() would wait for the messages. asyncio.run cancels the tasks that are left here.
        self._producer._closed = True  # noqa: SLF001 - otherwise its destructor warns
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await self._producer.client.close()

    def partitions(self) -> list[int]:
        """All partitions of the topic; empty while they are unknown."""
        return sorted(self._producer.client.cluster.partitions_for_topic(self._topic) or ())

    def available_partitions(self) -> list[int]:
        """The partitions that have a leader."""
        cluster = self._producer.client.cluster
        return sorted(cluster.available_partitions_for_topic(self._topic) or ())
