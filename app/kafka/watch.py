"""Probes whether a Kafka broker can be reached, and logs each change."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BrokerWatch"]

logger = logging.getLogger(__name__)

PROBE_SECONDS = 2.0
"""Time between two probes, and the time limit of each."""


class BrokerWatch:
    """Probes the brokers' ports; `reachable` is the result of the last probe."""

    def __init__(self, brokers: Sequence[str]) -> None:
        self.reachable = True
        self._brokers = brokers

    async def run(self) -> None:
        """Probe for ever; log when Kafka goes away and when it is back."""
        while True:
            await self.probe()
            await asyncio.sleep(PROBE_SECONDS)

    async def probe(self) -> bool:
        """Return whether any broker accepts connections."""
        found = any(await asyncio.gather(*map(_accepts, self._brokers)))
        if found != self.reachable:
            self.reachable = found
            where = ", ".join(self._brokers)
            if found:
                logger.warning("Kafka at %s is back", where)
            else:
                logger.warning("Kafka at %s is away; nothing is lost, waiting for it", where)
        return found


async def _accepts(broker: str) -> bool:
    host, _, port = broker.rpartition(":")
    with contextlib.suppress(OSError, TimeoutError):
        _, writer = await asyncio.wait_for(
            asyncio.open_connection(host.strip("[]"), int(port)), PROBE_SECONDS
        )
        writer.close()
        return True
    return False
