"""TCP clients that send lines: many at once, read in turn."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from typing import TYPE_CHECKING

from app.errors import ConfigurationError, UnavailableError
from app.sources.base import Source
from app.sources.progress import say
from app.sources.tcp.connection import (
    SECONDS_AFTER_A_FAILED_ACCEPT,
    cant_accept,
    lines_of,
    others_wait,
    reason,
    watch_for_death,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.sources.base import Batch

__all__ = ["ListeningSource"]

_BACKLOG = 1024


class ListeningSource(Source):
    """The lines of all clients that connect, without end.

    At most `connections` are read at a time, a chunk of each in turn; others wait, unread, until
    one of them closes. What had come of a line when its client closed counts as one.
    """

    replayable = False

    def __init__(self, host: str, port: int, connections: int = 100) -> None:
        super().__init__()
        self._address = (host, port)
        self._free = asyncio.Semaphore(connections)
        self._connections = connections
        # Whoever has a batch waits here for its turn: one chunk of each connection, no more.
        self._batches: asyncio.Queue[Batch | None] = asyncio.Queue(1)
        self._readers: set[asyncio.Task[None]] = set()
        self._server: socket.socket | None = None
        self.port = port
        """The port that it listens on, once it is open."""

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
        say(f"Listening on {self._address[0]}:{self.port}")

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield lines as they come."""
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
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _accept(self) -> None:
        """Accept connections until stopped; then wait for those that are being read."""
        assert self._server is not None, "open comes first"  # noqa: S101 - for mypy
        stopped = asyncio.create_task(self.stopping.wait())
        while not self.stopping.is_set():
            connecting = asyncio.create_task(self._next(self._server))
            await asyncio.wait({connecting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            connecting.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await self._batches.put(None)

    async def _next(self, server: socket.socket) -> None:
        if self._free.locked():
            say(others_wait(self._connections))
        await self._free.acquire()
        try:
            peer, address = await asyncio.get_running_loop().sock_accept(server)
        except BaseException as error:
            self._free.release()
            if not isinstance(error, OSError):
                raise
            say(cant_accept(error))
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
                watch_for_death(peer)
                async for batch in lines_of(peer, self.stopping):
                    await self._batches.put(batch)
            except OSError as error:
                say(f"{name}: {reason(error)}; what had come of it counts")


def _listen(host: str, port: int) -> socket.socket:
    family, *_, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    server = socket.create_server(address, family=family, backlog=_BACKLOG)
    server.setblocking(False)
    return server
