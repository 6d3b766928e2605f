"""The documented import path of the client for actors in other processes."""

from __future__ import annotations

from app.sources.actor.client import RemoteActor

__all__ = ["RemoteActor"]
