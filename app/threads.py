"""Runs heavy steps in threads: pyarrow, numpy and RocksDB release the GIL for the event loop."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_thread"]

T = TypeVar("T")

_pool = ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2), thread_name_prefix="work")


async def in_thread(function: Callable[[], T]) -> T:
    """Run `function` in a worker thread.

    When the caller is cancelled, the step still ends before the caller does. So no step works on an
    object that the caller closes next.
    """
    future = asyncio.get_running_loop().run_in_executor(_pool, function)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise
