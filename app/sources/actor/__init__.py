"""Lines that actors send: an actor of the user's own, or one in another process."""

from __future__ import annotations

from app.sources.actor.actor import StreamingActor

__all__ = ["StreamingActor"]
