"""Runs `faust …` with a sink that accepts every row and writes none, to measure counting alone.

`python -m tests.benchmarks.app_without_sink -A app --datadir DIR worker` runs the same application
by the same command, without Cassandra. Transactions, RocksDB and changelog are on. Each flush makes
its rows, and the sink drops them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

from faust.cli.faust import cli

from app.cassandra.nodes import Nodes
from app.cassandra.results import Observer, WriteResult
from app.kafka.topics import ensure_topics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.cassandra.rows import Row
    from app.settings import Settings


class NullSink:
    """Acknowledges everything at once."""

    def __init__(self, settings: Settings, observer: Observer | None = None) -> None:
        self.nodes = Nodes()

    async def open(self) -> None:
        """Do nothing."""

    async def write(
        self, rows: Sequence[Row], *, timeout_seconds: float | None = None
    ) -> WriteResult:
        """Accept all rows."""
        return WriteResult(rows=len(rows))

    async def close(self) -> None:
        """Do nothing."""


if __name__ == "__main__":
    with (
        patch("app.cassandra.sink.CassandraSink", NullSink),
        patch("app.commands.worker.check_servers", ensure_topics),
    ):
        cli()
