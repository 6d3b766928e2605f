"""Actors: objects that get typed messages, one at a time, and store lines into the stream."""

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
    r"""Gets messages of the type T and stores lines.

    A subclass names T and overrides `receive`; it is made without arguments:

        class Reader(StreamingActor[str]):
            def receive(self, message: str) -> None:
                self.store(message)

    All its methods run in one thread, one at a time. When one raises, the message is lost, and a
    new actor of the class takes the place of this one, with the messages that wait for it.
    """

    ref: pykka.ActorRef[Any]
    """Where messages to this actor go, from any thread; it outlives the actor itself."""

    _store: Callable[[tuple[bytes | str, ...]], None]

    def started(self) -> None:
        """Called before the first message."""

    def receive(self, message: T) -> None:
        """Take a message."""
        raise NotImplementedError

    def stopped(self) -> None:
        """Called when the source ends, or before another takes this one's place."""

    def store(self, *lines: bytes | str) -> None:
        """Put lines into the stream; waits while Kafka is too far behind."""
        self._store(lines)


def message_type(actor: type[StreamingActor[Any]]) -> type:
    """The type that an actor declares. Raises ConfigurationError if it declares none."""
    for base in actor.__mro__:
        for declared in getattr(base, "__orig_bases__", ()):
            if get_origin(declared) is StreamingActor:
                (found,) = get_args(declared)
                found = get_origin(found) or found
                if isinstance(found, type):
                    return found
    raise ConfigurationError(
        f"{actor.__name__} does not say what messages it gets: "
        "derive it from StreamingActor[str], or of another type"
    )
