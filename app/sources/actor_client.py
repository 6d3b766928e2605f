"""The documented import path of RemoteActor, the client for senders in other processes."""

from __future__ import annotations

from app.sources.actor.client import RemoteActor

__all__ = ["RemoteActor"]
