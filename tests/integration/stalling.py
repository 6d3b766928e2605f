"""The application with stalls on purpose, and with health limits of a few seconds.

The worker stalls while the directory STALLS has a file of the stall's name: `loop` blocks the event
loop, `consumer` withholds fetched records from the tasks, `recovery` withholds the changelog from
recovery, `commit` delays every commit.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app import create_app
from app.commands.worker import worker as _worker  # noqa: F401 - the command, with its checks
from app.kafka.producer import TransactionalProducer
from app.kafka.transport import BlockConsumer
from app.queries import health

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from aiokafka import TopicPartition

    from app.kafka.producer import PartitionRecords

health.STUCK_SECONDS = 4.0
health.SEEN_SECONDS = 5.0

STALLS = Path(os.environ["STALLS"])

_getmany, _commit = BlockConsumer.getmany, TransactionalProducer.commit


async def _until_over(stall: str) -> None:
    while (STALLS / stall).exists():  # noqa: ASYNC110 - another process makes the file
        await asyncio.sleep(0.05)


async def getmany(self: BlockConsumer, timeout: float) -> AsyncIterator[Any]:
    """Fetch once the stall that applies is over."""
    await _until_over("recovery" if self.app.in_recovery else "consumer")
    async for fetched in _getmany(self, timeout):
        yield fetched


async def commit(
    self: TransactionalProducer,
    records: Sequence[PartitionRecords],
    offset: int | None,
    metadata: str = "",
) -> dict[TopicPartition, int]:
    """Commit once the stall is over."""
    await _until_over("commit")
    return await _commit(self, records, offset, metadata)


BlockConsumer.getmany = getmany  # type: ignore[method-assign]  # the stall
TransactionalProducer.commit = commit  # type: ignore[method-assign]  # the stall
app = create_app()


@app.timer(0.1)  # type: ignore[untyped-decorator]  # Faust's own has no types
async def block_the_loop() -> None:
    """Block the event loop while the stall lasts."""
    while (STALLS / "loop").exists():
        time.sleep(0.05)  # noqa: ASYNC251 - that is the stall
