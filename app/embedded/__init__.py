"""Real Kafka and Cassandra servers for prototypes and tests, with nothing to install by hand.

with EmbeddedKafka() as kafka, EmbeddedCassandra() as cassandra:
    print(kafka.address, cassandra.address)
"""

from __future__ import annotations

import importlib.util

from app.errors import ConfigurationError

__all__ = [
    "EmbeddedCassandra",
    "EmbeddedKafka",
    "EmbeddedServer",
    "close_together",
    "start_together",
]


class MissingExtraError(ConfigurationError, ImportError):
    """A package of the extra `embedded` is not installed."""


if importlib.util.find_spec("jgo") is None:
    raise MissingExtraError(
        "The embedded servers need the package jgo: pip install 'wordcount-stream[embedded]'"
    )

from app.embedded.cassandra import EmbeddedCassandra  # noqa: E402 — the check comes first
from app.embedded.kafka import EmbeddedKafka  # noqa: E402
from app.embedded.server import EmbeddedServer  # noqa: E402
from app.embedded.together import close_together, start_together  # noqa: E402
