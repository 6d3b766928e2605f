"""The channel by which a timer, a command or a test requests a flush."""

from __future__ import annotations

import asyncio
from typing import Any

from faust.channels import Channel
from faust.types import EventT
from mode.utils.queues import FlowControlEvent, ThrowableQueue

__all__ = ["FlushRequest", "FlushRequests"]


class FlushRequest:
    """A request for a flush.

    `done` gets the number of rows that are still dirty after it; None if the worker stops instead.
    """

    def __init__(self) -> None:
        self.done: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()


class FlushRequests(Channel[FlushRequest]):
    """The channel of the agent `flush`: a timer sends a request each interval, others any time."""

    @property
    def queue(self) -> ThrowableQueue[Any]:
        """The one queue of this channel and its clones."""
        # Faust would clear a queue of its own at each rebalance, and stop it while Kafka's flow is
        # suspended. A request that is lost would leave its sender waiting.
        if self._root is not None:
            return self._root.queue
        if self._queue is None:
            self._queue = ThrowableQueue(flow_control=FlowControlEvent(initially_suspended=False))
        return self._queue

    async def put(self, value: Any) -> None:
        """Queue a request, also while the agent has not started yet."""
        # Not as an event: a Faust stream skips events while Kafka's flow is suspended, and those
        # that were sent in another generation of the group.
        await self.queue.put(value.value if isinstance(value, EventT) else value)

    async def flush_now(self) -> int | None:
        """Request a flush and wait for it; return the result of `FlushRequest.done`."""
        request = FlushRequest()
        await self.send(value=request)
        return await request.done
