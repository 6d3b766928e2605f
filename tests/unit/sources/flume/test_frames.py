"""Frames share a limit of memory."""

import asyncio

from app.sources.flume.frames import FrameMemory
from tests.clock import run_ready


async def test_frames_wait_for_memory_and_a_larger_one_is_alone() -> None:
    """Memory is bounded, and each frame gets its turn."""
    memory = FrameMemory(100)
    order: list[str] = []

    async def hold(name: str, size: int, until: asyncio.Event) -> None:
        async with memory.reserve(size):
            order.append(name)
            await until.wait()

    first, rest = asyncio.Event(), asyncio.Event()
    rest.set()
    tasks = [asyncio.create_task(hold("60", 60, first))]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(hold(str(size), size, rest)) for size in (50, 200)]
    await run_ready()
    assert order == ["60"]
    first.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert order == ["60", "50", "200"]
