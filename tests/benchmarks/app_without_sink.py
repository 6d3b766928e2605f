"""`faust …` with a sink that takes every row and writes none: counting alone, for the benchmark.

`python -m tests.benchmarks.app_without_sink -A app --datadir DIR worker` is the same application
and the same command, composed without Cassandra: transactions, RocksDB and changelog are on, rows
are made for each flush, and there they end.
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

    async def write(self, rows: Sequence[Row], *, timeout_s: float | None = None) -> WriteResult:
        """Take all rows."""
        return WriteResult(rows=len(rows))

    async def close(self) -> None:
        """Do nothing."""


if __name__ == "__main__":
    with (
        patch("app.cassandra.sink.CassandraSink", NullSink),
        patch("app.commands.worker.check_servers", ensure_topics),
    ):
        cli()
