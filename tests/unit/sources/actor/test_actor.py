"""An actor declares the type of its messages."""

import pytest

from app.errors import ConfigurationError
from app.sources.actor import StreamingActor
from app.sources.actor.source import ActorSource


class Untyped(StreamingActor):  # type: ignore[type-arg]  # the mistake under test
    """Declares no message type."""


def test_an_actor_must_declare_its_message_type() -> None:
    """An actor without a declared type is a wrong argument."""
    with pytest.raises(ConfigurationError, match=r"derive it from StreamingActor\[str\]"):
        ActorSource(Untyped)
