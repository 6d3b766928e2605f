"""Agent `flush`: each interval, the table's changed rows → Cassandra, as absolute counts.

    word_counts ──► rows changed since the last flush ──► INSERT … USING TIMESTAMP version
                └─► top words of their windows, if set ──► the same

A row that is written twice, or late, does no harm. Its version is its write time in Cassandra, and
grows with every checkpoint of its partition. So the newest count wins, whichever write comes last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.flush_requests import FlushRequests

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import faust
    from faust.types import StreamT

    from agents.flush_requests import FlushRequest
    from agents.flushing import Flusher

__all__ = ["add_flush"]


def add_flush(
    app: faust.App,
    flusher: Flusher,
    guard: Callable[[Callable[[], Awaitable[int]]], Awaitable[int | None]],
) -> FlushRequests:
    """Register the agent; `guard` stops the worker for an error. Returns the agent's channel."""
    channel = FlushRequests(app)

    @app.agent(channel, name="flush", concurrency=1)
    async def flush(requests: StreamT[FlushRequest]) -> None:
        """Write the changed rows of the table to Cassandra, each interval and on request."""
        async for request in requests:
            left = None
            try:
                left = await guard(flusher.flush_counts)
            finally:
                if not request.done.done():
                    request.done.set_result(left)

    return channel
