"""Whether a Kafka broker can be reached, asked now and then, and said when it changes."""

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


class BrokerWatch:
    """Probes the brokers' ports; `reachable` is what the last probe found."""

    def __init__(self, brokers: Sequence[str]) -> None:
        self.reachable = True
        self._brokers = brokers

    async def run(self) -> None:
        """Probe every other second, for ever; log when Kafka goes away and when it is back."""
        while True:
            await self.probe()
            await asyncio.sleep(PROBE_SECONDS)

    async def probe(self) -> bool:
        """Whether any broker takes connections."""
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
