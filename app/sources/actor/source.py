"""Runs an actor as a source: its mailbox, its supervision, what it stores."""

from __future__ import annotations

import asyncio
import itertools
import queue
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from app.sources.actor.actor import message_type
from app.sources.actor.server import ActorServer
from app.sources.base import Batch, Source, SourceError
from app.sources.extras import extra
from app.sources.progress import say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.sources.actor.actor import StreamingActor

__all__ = ["ActorSource"]

_STORED = 10_000
"""Stores that may wait for Kafka; then the actor waits."""

_STORES_A_BATCH = 1000
_RESTARTS = 10
_RESTARTS_SECONDS = 60.0


class ActorSource(Source):
    """What an actor stores, until it is stopped or crashes too often.

    Messages come by `StreamingActor.ref`, and with an `address` from other processes, which hear
    when Kafka has what the actor stored of them. Methods from `store` on are for its thread.
    """

    replayable = False

    def __init__(
        self, actor: type[StreamingActor[Any]], address: tuple[str, int] | None = None
    ) -> None:
        super().__init__()
        self.type = message_type(actor)
        with extra("actor"):
            from app.sources.actor.shell import Shell
        self._shell = Shell
        self._actor = actor
        self._server: ActorServer | None = None
        self._address = address
        self._stored: queue.Queue[Batch] = queue.Queue(_STORED)
        self._numbers = itertools.count(1)
        self.newest = 0
        """The number of the newest store."""
        self._wake = asyncio.Event()
        self._crashes: deque[float] = deque(maxlen=_RESTARTS)
        self._given_up = ""
        self._ended = self._closed = False

    async def open(self) -> None:
        """Start the actor."""
        self._loop = asyncio.get_running_loop()
        self.ref = self._shell.start(self)
        if self._address is not None:
            self._server = ActorServer(self, *self._address)
            await self._server.open()
            say(f"Listening on {self._server.host}:{self._server.port}")

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield what the actor stores; once stopped, what it makes of the messages it has."""
        stopping = asyncio.create_task(self._end_when_stopped())
        try:
            while True:
                self._wake.clear()
                ended = self._ended
                while (batch := self._next()) is not None:
                    yield batch
                if self._given_up:
                    raise SourceError(self._given_up)
                if ended:
                    return
                await self._wake.wait()
        finally:
            stopping.cancel()

    async def acknowledge(self, position: object) -> None:
        """Tell senders in other processes how far Kafka has their messages."""
        if self._server is not None and isinstance(position, int):
            self._server.acknowledge(position)

    async def close(self) -> None:
        """Stop the actor, whatever waits for it."""
        self._closed = True
        if self._server is not None:
            self._server.close()
        if hasattr(self, "ref"):
            threading.Thread(target=self._stop_actor, daemon=True).start()

    async def _end_when_stopped(self) -> None:
        await self.stopping.wait()
        if self._server is not None:
            self._server.stop()
        # A thread of its own, which nobody waits for: the mailbox may be full, the actor may hang.
        threading.Thread(target=self._stop_actor, daemon=True).start()

    def _stop_actor(self) -> None:
        if self.ref.is_alive():
            self.ref.stop(block=not self._closed)
        self._ended = True
        self._wake_up()

    def _wake_up(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    def _next(self) -> Batch | None:
        """What is stored, as one batch."""
        batches: list[Batch] = []
        while len(batches) < _STORES_A_BATCH and not self._stored.empty():
            batches.append(self._stored.get_nowait())
        if not batches:
            return None
        text = b"\n".join(batch.text for batch in batches)
        lines = sum(batch.lines for batch in batches)
        return Batch(text, lines, position=batches[-1].position)

    def store(self, lines: tuple[bytes | str, ...]) -> None:
        """Let lines wait for Kafka; waits itself while too many do."""
        self.newest = next(self._numbers)
        batch = Batch.of(lines, position=self.newest)
        while not self._closed:
            try:
                self._stored.put(batch, timeout=0.2)
            except queue.Full:
                continue
            self._wake_up()
            return

    def check(self, message: object) -> bool:
        """Whether the actor gets such messages; says so if not."""
        if isinstance(message, self.type):
            return True
        self.refuse(f"{self._actor.__name__} gets {self.type.__name__}, not {message!r:.60}")
        return False

    def refuse(self, why: str) -> None:
        """Leave a message out, aloud."""
        self.failures += 1
        say(f"Error: {why}; the message is left out")

    def crashed(self, error: BaseException) -> bool:
        """The actor raised; whether another is to take its place."""
        now = time.monotonic()
        self.failures += 1
        name = self._actor.__name__
        what = f"{name} crashed: {type(error).__name__}: {error}"
        if len(self._crashes) == _RESTARTS and now < self._crashes[0] + _RESTARTS_SECONDS:
            self._given_up = f"{what}; for the {_RESTARTS + 1}th time in a minute, so it ends"
            self._wake_up()
            return False
        self._crashes.append(now)
        say(f"Error: {what}; its message is left out, another {name} takes its place")
        return True

    def make(self, ref: Any) -> StreamingActor[Any]:
        """An actor that has started."""
        actor = self._actor()
        actor.ref = ref
        actor._store = self.store  # noqa: SLF001 - not for subclasses
        actor.started()
        return actor
