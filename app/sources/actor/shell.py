"""The Pykka actor with the thread and the mailbox; the user's actors in it may crash."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

import pykka

from app.sources.notices import notify

if TYPE_CHECKING:
    from app.sources.actor.actor import StreamingActor
    from app.sources.actor.host import ActorHost

__all__ = ["Shell"]

_MAILBOX = 10_000
"""Most messages that wait for the actor; then the senders wait."""


class Shell(pykka.ThreadingActor):
    """Passes messages to an actor, and creates a new actor of the class after a crash.

    Pykka itself stops an actor that raises, which would lose the messages in the mailbox. The
    reply to a message is the number of the newest store after the actor has processed it.
    """

    use_daemon_thread = True

    def __init__(self, source: ActorHost) -> None:
        super().__init__()
        self._source = source
        self._actor: StreamingActor[Any] | None = None

    @staticmethod
    def _create_actor_inbox() -> queue.Queue[Any]:
        return queue.Queue(_MAILBOX)

    def on_start(self) -> None:
        """Start the actor."""
        self._create_actor()

    def on_receive(self, message: Any) -> int:
        """Pass a message on if it has the actor's type."""
        if self._actor is not None and self._source.check(message):
            try:
                self._actor.receive(message)
            except Exception as error:
                self._replace(error)
        return self._source.newest

    def on_stop(self) -> None:
        """Stop the actor."""
        actor, self._actor = self._actor, None
        if actor is None:
            return
        try:
            actor.stopped()
        except Exception as error:
            notify(f"Error: {type(actor).__name__} failed to stop: {error}")

    def _replace(self, error: Exception) -> None:
        self.on_stop()
        if self._source.crashed(error):
            self._create_actor()

    def _create_actor(self) -> None:
        while True:
            try:
                self._actor = self._source.make(self.actor_ref)
            except Exception as error:
                if not self._source.crashed(error):
                    return
            else:
                return
