"""The ends of partitions, asked of a broker that may say nothing."""

from __future__ import annotations

import asyncio
import time

from aiokafka import TopicPartition

from app.queries.end_offsets import EndOffsets
from app.queries.membership import Membership
from app.queries.peers import DEADLINE_SECONDS as ANSWER_SECONDS


async def test_a_broker_that_hangs_keeps_nobody_from_answering_in_time() -> None:
    """It takes connections and says nothing: ends are unknown before other workers give up."""
    over = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()[:2]
        ends = EndOffsets([f"{host}:{port}"], Membership(60.0, 3.0))
        began = time.monotonic()
        found = await asyncio.gather(*(ends.read([TopicPartition("lines", 0)]) for _ in range(5)))
        assert time.monotonic() - began < 0.75 * ANSWER_SECONDS
        assert found == [{}] * 5
        assert not ends.contact.seen(60)
        over.set()
