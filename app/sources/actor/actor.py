"""The base class of actors: they receive typed messages, one at a time, and store lines."""

from __future__ import annotations

import typing
from typing import Any, Generic, TypeVar, get_args, get_origin

from app.errors import ConfigurationError

if typing.TYPE_CHECKING:
    from collections.abc import Callable

    import pykka

__all__ = ["StreamingActor", "message_type"]

T = TypeVar("T")


class StreamingActor(Generic[T]):
    r"""Receives messages of the type T and stores lines.

    A subclass names T and overrides `receive`. The source creates it without arguments:

        class Reader(StreamingActor[str]):
            def receive(self, message: str) -> None:
                self.store(message)

    All methods run in one thread, one at a time. When a method raises, the source skips that
    message, and a new actor of the class takes the place of this one, with the waiting messages.
    """

    ref: pykka.ActorRef[Any]
    """The address of this actor, for any thread; it stays valid when a new actor takes over."""

    _store: Callable[[tuple[bytes | str, ...]], None]

    def started(self) -> None:
        """Prepare for messages; called before the first one."""

    def receive(self, message: T) -> None:
        """Process a message."""
        raise NotImplementedError

    def stopped(self) -> None:
        """Release resources; called when the source ends or before a new actor takes the place."""

    def store(self, *lines: bytes | str) -> None:
        """Send lines to Kafka; waits while Kafka is too far behind."""
        self._store(lines)


def message_type(actor: type[StreamingActor[Any]]) -> type:
    """Return the declared message type. Raises ConfigurationError if there is none."""
    for base in actor.__mro__:
        for declared in getattr(base, "__orig_bases__", ()):
            if get_origin(declared) is StreamingActor:
                (found,) = get_args(declared)
                found = get_origin(found) or found
                if isinstance(found, type):
                    return found
    raise ConfigurationError(
        f"{actor.__name__} declares no message type: "
        "derive it from StreamingActor[str], or of another type"
    )
