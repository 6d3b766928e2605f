"""The contract of a delivery: batches in, acknowledged totals and a position out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from app.errors import UnavailableError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from app.sources.base import Batch

__all__ = ["LINGER_SECONDS", "Delivery", "DeliveryError", "Totals", "refused"]

LINGER_SECONDS = 0.03
"""Longest time that a line waits for others to share its message."""


class DeliveryError(UnavailableError):
    """Kafka refuses lines permanently."""


class Totals(NamedTuple):
    """Totals of a delivery so far."""

    taken: int
    """Lines taken in."""
    acknowledged: int
    """Lines that Kafka has acknowledged."""
    messages: int
    """Messages that Kafka has acknowledged."""
    bytes: int
    """Bytes of text in the acknowledged messages."""
    refused: int
    """Words that were skipped because each is longer than a message may be."""
    restamped: int
    """Lines that got the present time because the topic refuses theirs."""

    @property
    def waiting(self) -> int:
        """Lines taken in that Kafka has not acknowledged."""
        return self.taken - self.acknowledged


class Delivery(Protocol):
    """Brings batches to a topic, in order, while it is entered as an async context manager.

    Leaving it does not wait for Kafka; `drain` does.
    """

    async def __aenter__(self) -> Self:
        """Connect to Kafka. Raises UnavailableError."""

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""

    @property
    def totals(self) -> Totals:
        """Totals so far."""

    @property
    def stalled_seconds(self) -> float:
        """Seconds for which lines have waited without any acknowledgement."""

    @property
    def linger_until(self) -> float | None:
        """When `flush` is due, by time.monotonic(); None: nothing waits for it."""

    @property
    def position(self) -> object:
        """The newest resume position up to which Kafka has acknowledged everything; None: none."""

    @property
    def moved(self) -> asyncio.Event:
        """Set whenever `position` becomes a newer one."""

    @property
    def resumed(self) -> Mapping[str, Any]:
        """Positions that earlier runs have committed, by key, once the delivery is entered."""

    async def take(self, batch: Batch) -> None:
        """Take lines in; waits while too many bytes wait for Kafka. Raises DeliveryError."""

    async def flush(self) -> None:
        """Send the lines that wait for others to share their message. Raises DeliveryError."""

    async def drain(self) -> None:
        """Send all lines and wait until Kafka has acknowledged them. Raises DeliveryError."""


def refused(topic: str, failure: BaseException, waiting: int) -> DeliveryError:
    """The error for `waiting` lines that Kafka refuses because of `failure`."""
    reason = str(failure) or type(failure).__name__
    return DeliveryError(
        f"Kafka refuses lines for topic {topic}: {reason}; {waiting} lines were not acknowledged"
    )
