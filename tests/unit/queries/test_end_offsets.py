"""End offsets from a broker that may not answer."""

from __future__ import annotations

import asyncio
import time

from aiokafka import TopicPartition

from app.queries.end_offsets import EndOffsets
from app.queries.membership import Membership
from app.queries.peers import DEADLINE_SECONDS as PEER_DEADLINE_SECONDS


async def test_a_broker_that_hangs_does_not_delay_the_answer_to_other_workers() -> None:
    """It accepts connections and never answers: end offsets are unknown before peers time out."""
    over = asyncio.Event()

    async def never_answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()[:2]
        membership = Membership(60.0, 3.0)
        end_offsets = EndOffsets([f"{host}:{port}"], membership)
        began = time.monotonic()
        partitions = [TopicPartition("lines", 0)]
        found = await asyncio.gather(*(end_offsets.read(partitions) for _ in range(5)))
        assert time.monotonic() - began < 0.75 * PEER_DEADLINE_SECONDS
        assert found == [{}] * 5
        assert not membership.seen(60)
        over.set()
