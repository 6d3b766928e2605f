"""The source of `produce socket`: a TCP client that reads lines and reconnects."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from typing import TYPE_CHECKING

from app.sources.announced_backoff import AnnouncedBackoff
from app.sources.base import Source
from app.sources.tcp.connection import enable_keepalive, lines_of, reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.sources.base import Batch

__all__ = ["TcpClientSource"]

_SECONDS_TO_CONNECT = 10.0


class TcpClientSource(Source):
    """Yields the lines that a server sends, without end, as Spark's socketTextStream does.

    When the server closes the connection, an incomplete line counts as a line. The source then
    connects again.
    """

    replayable = False

    def __init__(self, host: str, port: int) -> None:
        super().__init__()
        self._address = (host, port)
        self._backoff = AnnouncedBackoff()

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield lines as they arrive; while the server is away, retry."""
        while not self.stopping.is_set():
            try:
                peer = await self._connect()
                if peer is None:
                    return
                with closing(peer):
                    self._backoff.succeeded(f"{self._name} is connected again")
                    async for batch in lines_of(peer, self.stopping):
                        yield batch
                failed = "has closed the connection"
            except OSError as error:
                failed = f"can't be read from: {reason(error)}"
            if not self.stopping.is_set() and await self.pause(
                self._backoff.failed(f"{self._name} {failed}")
            ):
                return

    @property
    def _name(self) -> str:
        return ":".join(map(str, self._address))

    async def _connect(self) -> socket.socket | None:
        """Return a connection, or None if the source was stopped before. Raises OSError."""
        connecting = asyncio.ensure_future(asyncio.to_thread(self._connect_blocking))
        stopped = asyncio.ensure_future(self.stopping.wait())
        await asyncio.wait({connecting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not connecting.done():
            # The thread can't be cancelled: close its connection once it has one.
            connecting.add_done_callback(_drop)
            return None
        return await connecting

    def _connect_blocking(self) -> socket.socket:
        peer = socket.create_connection(self._address, _SECONDS_TO_CONNECT)
        peer.setblocking(False)
        enable_keepalive(peer)
        return peer


def _drop(connecting: asyncio.Future[socket.socket]) -> None:
    """Close a connection that was made after the source had stopped."""
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().close()
