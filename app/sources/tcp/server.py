"""The source of `produce socket --listen`: a TCP server that reads many clients in turn."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from typing import TYPE_CHECKING

from app.errors import ConfigurationError, UnavailableError
from app.sources.base import Source
from app.sources.notices import notify
from app.sources.tcp.connection import (
    SECONDS_AFTER_A_FAILED_ACCEPT,
    cant_accept,
    enable_keepalive,
    lines_of,
    others_wait,
    reason,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.sources.base import Batch

__all__ = ["TcpServerSource"]

_BACKLOG = 1024


class TcpServerSource(Source):
    """Yields the lines of all clients that connect, without end.

    The source reads at most `connections` clients at a time, a chunk of each in turn. Further
    clients wait, unread, until one of them closes. An incomplete line at the end of a connection
    counts as a line.
    """

    replayable = False

    def __init__(self, host: str, port: int, connections: int = 100) -> None:
        super().__init__()
        self._address = (host, port)
        self._free = asyncio.Semaphore(connections)
        self._connections = connections
        # A queue of one: each reader waits with its batch until it is its turn, so a fast client
        # holds one chunk in memory and can't keep a slow one from its turn.
        self._batches: asyncio.Queue[Batch | None] = asyncio.Queue(1)
        self._readers: set[asyncio.Task[None]] = set()
        self._server: socket.socket | None = None
        self.port = port
        """The port on which the open source listens."""

    async def open(self) -> None:
        """Listen."""
        name = ":".join(map(str, self._address))
        try:
            self._server = await asyncio.to_thread(_listen, *self._address)
        except socket.gaierror as error:
            raise ConfigurationError(f"{name}: {error.strerror}") from None
        except OSError as error:
            raise UnavailableError(f"can't listen on {name}: {reason(error)}") from None
        self.port = self._server.getsockname()[1]
        notify(f"Listening on {self._address[0]}:{self.port}")

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield lines as they arrive."""
        accepting = asyncio.create_task(self._accept())
        try:
            while (batch := await self._batches.get()) is not None:
                yield batch
        finally:
            accepting.cancel()
            for reader in self._readers:
                reader.cancel()
            await asyncio.gather(accepting, *self._readers, return_exceptions=True)

    async def close(self) -> None:
        """Close the listening socket."""
        if self._server is not None:
            self._server.close()

    async def _accept(self) -> None:
        """Accept connections until stopped; then wait until the open ones are read."""
        assert self._server is not None, "open comes first"  # noqa: S101 - for mypy
        stopped = asyncio.create_task(self.stopping.wait())
        while not self.stopping.is_set():
            connecting = asyncio.create_task(self._accept_next(self._server))
            await asyncio.wait({connecting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            connecting.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await self._batches.put(None)

    async def _accept_next(self, server: socket.socket) -> None:
        """Accept one connection when the limit allows it, and start its reader."""
        if self._free.locked():
            notify(others_wait(self._connections))
        await self._free.acquire()
        try:
            peer, address = await asyncio.get_running_loop().sock_accept(server)
        except BaseException as error:
            self._free.release()
            if not isinstance(error, OSError):  # a cancellation
                raise
            notify(cant_accept(error))
            await asyncio.sleep(SECONDS_AFTER_A_FAILED_ACCEPT)
            return
        reader = asyncio.create_task(self._read(peer, f"{address[0]}:{address[1]}"))
        self._readers.add(reader)
        reader.add_done_callback(self._done)

    def _done(self, reader: asyncio.Task[None]) -> None:
        self._readers.discard(reader)
        self._free.release()

    async def _read(self, peer: socket.socket, name: str) -> None:
        with closing(peer):
            try:
                enable_keepalive(peer)
                async for batch in lines_of(peer, self.stopping):
                    await self._batches.put(batch)
            except OSError as error:
                notify(f"{name}: {reason(error)}; an incomplete line counts as a line")


def _listen(host: str, port: int) -> socket.socket:
    family, *_, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    server = socket.create_server(address, family=family, backlog=_BACKLOG)
    server.setblocking(False)
    return server
