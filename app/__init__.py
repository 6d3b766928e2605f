"""The application: `faust -A app worker` finds `app.app` here.

This is the composition root, the one place where real parts are put together. `app.app` is made
when it is first asked for: importing a part (`from app.settings import …`) makes no application.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.worker.application import Application

    app: Application

__all__ = ["app", "create_app"]


def create_app(environ: Mapping[str, str] = os.environ) -> Application:
    """Put the parts together by the settings in `environ`. Raises ConfigurationError."""
    from agents.count import Counter
    from agents.flush import Flusher
    from agents.resave import Resaver
    from agents.split import Splitter
    from app.cassandra.metrics import CassandraMetrics, show_nodes
    from app.cassandra.sink import CassandraSink
    from app.console import Console, Printer
    from app.counting.windows import Windows
    from app.kafka.transport import BlockSchema
    from app.memory import MemoryBudget
    from app.metrics import Metrics
    from app.queries.membership import Membership
    from app.queries.queries import Queries
    from app.settings import Settings
    from app.web.server import WebServer
    from app.worker.application import Application
    from app.worker.view import ApplicationView
    from tables.word_counts import WordCounts

    settings = Settings.read(environ)
    windows = Windows(settings.window_ms, settings.hop_ms, settings.grace_ms, settings.retention_ms)
    metrics = Metrics()
    memory_budget = MemoryBudget.of(settings.memory, settings.partitions)
    application = Application(settings, memory_budget)

    table = WordCounts(
        application,
        windows,
        source=settings.partials,
        memory_budget=memory_budget,
        name="word_counts",
        partitions=settings.partitions,
        schema=BlockSchema(key_type=bytes, value_type=bytes),
        help="How often each word occurs in each window.",
    )
    application.tables.add(table)
    application.table = table
    application.sink = CassandraSink(settings, CassandraMetrics(metrics.registry))
    show_nodes(metrics.registry, application.sink.nodes)
    application.flusher = Flusher(table, application.sink, metrics, settings.top_words)

    splitter = Splitter(settings, windows, metrics)
    counter = Counter(settings, table, metrics)
    application.add_stage(
        "split", settings.lines, splitter.split_lines, on_offset_loss=metrics.lost
    )
    application.add_stage("count", settings.partials, counter.count_partials)
    application.add_timer(settings.flush_interval_ms, application.flush)
    if settings.resave:
        resaver = Resaver(table, application.sink, settings.top_words)
        application.add_timer(1000, lambda: application.guard(resaver.save_owned))
    membership = Membership(
        application.conf.broker_session_timeout, application.conf.broker_heartbeat_interval
    )
    queries = Queries(ApplicationView(application), windows, membership, metrics)
    application.web = WebServer(application, settings, queries)
    console = Console(
        table, queries.counts, queries.status, words=settings.print, write=Printer().write
    )
    application.add_timer(settings.flush_interval_ms, console.print_top)
    return application


def _add_commands() -> None:
    from faust.cli.base import cli

    from app.commands import COMMANDS
    from app.commands.worker import worker as _worker  # noqa: F401 - defining it registers it

    for command in COMMANDS:
        cli.add_command(command)


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from app.errors import WordCountError, end_with

    try:
        application = create_app()
    except WordCountError as error:
        end_with(error)
    _add_commands()
    globals()["app"] = application
    return application
