"""The source that runs an actor: it restarts the actor after crashes and yields its lines."""

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
from app.sources.notices import notify

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.sources.actor.actor import StreamingActor

__all__ = ["ActorSource"]

_STORED = 10_000
"""Most stores that wait for Kafka; then the actor waits."""

_STORES_A_BATCH = 1000
_RESTARTS = 10
_RESTARTS_SECONDS = 60.0


class ActorSource(Source):
    """Yields the lines that an actor stores, until it is stopped or crashes too often.

    Messages come through `StreamingActor.ref`, and with an `address` from other processes, which
    get an answer when Kafka has the lines. The actor's thread calls the methods from `store` on.
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
        self._final_error = ""
        self._ended = self._closed = False

    async def open(self) -> None:
        """Start the actor."""
        self._loop = asyncio.get_running_loop()
        self.ref = self._shell.start(self)
        if self._address is not None:
            self._server = ActorServer(self, *self._address)
            await self._server.open()
            notify(f"Listening on {self._server.host}:{self._server.port}")

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield stored lines; once stopped, also those of the messages in the mailbox."""
        stopping = asyncio.create_task(self._end_when_stopped())
        try:
            while True:
                # Read `_ended` before the queue: what the actor stored last is then in the queue.
                self._wake.clear()
                ended = self._ended
                while (batch := self._next()) is not None:
                    yield batch
                if self._final_error:
                    raise SourceError(self._final_error)
                if ended:
                    return
                await self._wake.wait()
        finally:
            stopping.cancel()

    async def acknowledge(self, position: object) -> None:
        """Answer the senders in other processes whose messages Kafka has."""
        if self._server is not None and isinstance(position, int):
            self._server.acknowledge(position)

    async def close(self) -> None:
        """Stop the actor without waiting for its mailbox."""
        self._closed = True
        if self._server is not None:
            self._server.close()
        if hasattr(self, "ref"):
            threading.Thread(target=self._stop_actor, daemon=True).start()

    async def _end_when_stopped(self) -> None:
        await self.stopping.wait()
        if self._server is not None:
            self._server.stop()
        # In a daemon thread without a join: the mailbox may be full, the actor may hang.
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
        """Join waiting stores into one batch; None if there are none."""
        batches: list[Batch] = []
        while len(batches) < _STORES_A_BATCH and not self._stored.empty():
            batches.append(self._stored.get_nowait())
        if not batches:
            return None
        text = b"\n".join(batch.text for batch in batches)
        lines = sum(batch.lines for batch in batches)
        return Batch(text, lines, position=batches[-1].position)

    def store(self, lines: tuple[bytes | str, ...]) -> None:
        """Queue lines for Kafka; waits while the queue is full."""
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
        """Return whether the message has the actor's type; report a wrong one."""
        if isinstance(message, self.type):
            return True
        self.refuse(f"{self._actor.__name__} expects {self.type.__name__}, not {message!r:.60}")
        return False

    def refuse(self, why: str) -> None:
        """Report and count a skipped message."""
        self.failures += 1
        notify(f"Error: {why}; skipping the message")

    def crashed(self, error: BaseException) -> bool:
        """Report that the actor raised; return whether a new actor may take its place."""
        now = time.monotonic()
        self.failures += 1
        name = self._actor.__name__
        problem = f"{name} crashed: {type(error).__name__}: {error}"
        if len(self._crashes) == _RESTARTS and now < self._crashes[0] + _RESTARTS_SECONDS:
            self._final_error = f"{problem}; for the {_RESTARTS + 1}th time in a minute, so it ends"
            self._wake_up()
            return False
        self._crashes.append(now)
        notify(f"Error: {problem}; skipping its message, a new {name} takes its place")
        return True

    def make(self, ref: Any) -> StreamingActor[Any]:
        """Create and start an actor."""
        # Set after creation: a user's class may have an __init__, which takes no arguments.
        actor = self._actor()
        actor.ref = ref
        actor._store = self.store  # noqa: SLF001 - not for subclasses
        actor.started()
        return actor
