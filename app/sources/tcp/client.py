"""A TCP server that sends lines: connected to, read, and connected to again."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from typing import TYPE_CHECKING

from app.sources.backoff import AnnouncedBackoff
from app.sources.base import Source
from app.sources.tcp.connection import lines_of, reason, watch_for_death

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.sources.base import Batch

__all__ = ["SocketSource"]

_SECONDS_TO_CONNECT = 10.0


class SocketSource(Source):
    """The lines that a server sends, as Spark's socketTextStream takes them, without end.

    When it closes, what had come of a line counts as one, and the server is connected to again.
    """

    replayable = False

    def __init__(self, host: str, port: int) -> None:
        super().__init__()
        self._address = (host, port)
        self._backoff = AnnouncedBackoff()

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield lines as they come; a server that is away is waited for."""
        while not self.stopping.is_set():
            try:
                peer = await self._connect()
                if peer is None:
                    return
                with closing(peer):
                    self._backoff.succeeded(f"{self._name} is there again")
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
        """A connection; None if the source was stopped meanwhile. Raises OSError."""
        connecting = asyncio.ensure_future(asyncio.to_thread(self._connect_blocking))
        stopped = asyncio.ensure_future(self.stopping.wait())
        await asyncio.wait({connecting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not connecting.done():
            connecting.add_done_callback(_drop)
            return None
        return await connecting

    def _connect_blocking(self) -> socket.socket:
        peer = socket.create_connection(self._address, _SECONDS_TO_CONNECT)
        peer.setblocking(False)
        watch_for_death(peer)
        return peer


def _drop(connecting: asyncio.Future[socket.socket]) -> None:
    """Close a connection that nobody waits for any more."""
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().close()
