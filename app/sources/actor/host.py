"""The narrow view of an actor's source that its shell and its server use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from app.sources.actor.actor import StreamingActor

__all__ = ["ActorHost"]


class ActorHost(Protocol):
    """Creates the actor, checks its messages and counts its stores."""

    type: type[Any]
    """Type of the messages that the actor expects."""
    ref: Any
    """Reference of the running shell."""
    newest: int
    """Number of the newest store."""

    def check(self, message: object) -> bool:
        """Return whether the message has the actor's type; report a wrong one."""

    def refuse(self, why: str) -> None:
        """Report and count a skipped message."""

    def crashed(self, error: BaseException) -> bool:
        """Report that the actor raised; return whether a new actor may take its place."""

    def make(self, ref: Any) -> StreamingActor[Any]:
        """Create and start an actor."""
