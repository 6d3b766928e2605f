"""The Pykka actor that has the thread and the mailbox, while the user's actors in it may crash."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

import pykka

from app.sources.progress import say

if TYPE_CHECKING:
    from app.sources.actor.actor import StreamingActor
    from app.sources.actor.source import ActorSource

__all__ = ["Shell"]

_MAILBOX = 10_000
"""Messages that may wait for the actor; then whoever sends one waits."""


class Shell(pykka.ThreadingActor):
    """Hands messages to an actor, and to another of its class when that one has crashed.

    Pykka's own way, to stop an actor that raises, would lose the messages that wait for it. The
    reply to a message is the number of the newest store when it was done with.
    """

    use_daemon_thread = True

    def __init__(self, source: ActorSource) -> None:
        super().__init__()
        self._source = source
        self._actor: StreamingActor[Any] | None = None

    @staticmethod
    def _create_actor_inbox() -> queue.Queue[Any]:
        return queue.Queue(_MAILBOX)

    def on_start(self) -> None:
        """Start the actor."""
        self._renew()

    def on_receive(self, message: Any) -> int:
        """Hand a message on, if it is of the actor's type."""
        if self._actor is not None and self._source.check(message):
            try:
                self._actor.receive(message)
            except Exception as error:
                self._replace(error)
        return self._source.newest

    def on_stop(self) -> None:
        """Let the actor end."""
        actor, self._actor = self._actor, None
        if actor is None:
            return
        try:
            actor.stopped()
        except Exception as error:
            say(f"Error: {type(actor).__name__} failed to stop: {error}")

    def _replace(self, error: Exception) -> None:
        self.on_stop()
        if self._source.crashed(error):
            self._renew()

    def _renew(self) -> None:
        while True:
            try:
                self._actor = self._source.make(self.actor_ref)
            except Exception as error:
                if not self._source.crashed(error):
                    return
            else:
                return
