"""The source of `produce actor`: an actor of the user, messages from threads and processes."""

from __future__ import annotations

from app.sources.actor.actor import StreamingActor

__all__ = ["StreamingActor"]
