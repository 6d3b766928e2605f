"""The composition root: the one place where the real parts of the application are put together."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from agents.checkpointing import Checkpointer
from agents.count import Counter, add_count
from agents.flush import add_flush
from agents.flushing import Flusher
from agents.resave import Resaver
from agents.split import Splitter, add_split
from app.cassandra.metrics import CassandraMetrics, show_nodes
from app.cassandra.sink import CassandraSink
from app.console import Console, Printer
from app.counting.windows import Windows
from app.kafka.offset_loss import refuse_offset_loss
from app.kafka.offset_ranges import OffsetRanges
from app.kafka.offsets import CommittedOffsets
from app.kafka.stage import Stage
from app.kafka.transport import BlockSchema
from app.kafka.watch import BrokerWatch
from app.memory import ByteQuota, MemoryBudget, give_back
from app.metrics import Metrics
from app.queries.membership import Membership
from app.queries.queries import Queries
from app.threads import in_thread
from app.web.server import WebServer
from app.worker.application import Application, Parts
from app.worker.lifecycle import Lifecycle
from app.worker.rebalance import Rejoin, TaskManager
from app.worker.refetch import IdleCheck, Refetch
from app.worker.view import ApplicationView
from tables.word_counts import WordCounts

if TYPE_CHECKING:
    from app.settings import Settings
    from app.worker.lifecycle import Failure

__all__ = ["compose_app"]

IDLE_CHECK_MS = 5_000
"""Time between two checks whether idle partitions really have nothing to fetch."""

GIVE_BACK_MS = 30_000
"""Time between two garbage collections, which give free memory back to the kernel."""

RESAVE_MS = 1_000
"""Time between two checks for partitions whose rows are to be saved again."""


def compose_app(settings: Settings) -> Application:
    """Return the complete application of `settings`. Raises ConfigurationError."""
    budget = MemoryBudget.of(settings.memory, settings.partitions)
    quotas = {
        settings.lines: ByteQuota(budget.lines),
        settings.partials: ByteQuota(budget.partials),
    }
    return Application(settings, quotas, partial(_compose, budget))


def _compose(budget: MemoryBudget, application: Application, failure: Failure) -> Parts:
    """Make the parts of a configured Faust application."""
    settings = application.settings
    windows = Windows(settings.window_ms, settings.hop_ms, settings.grace_ms, settings.retention_ms)
    metrics = Metrics()
    table = _table(application, windows, budget)
    sink = CassandraSink(settings, CassandraMetrics(metrics.registry))
    show_nodes(metrics.registry, sink.nodes)
    offsets = CommittedOffsets(settings.id, settings.broker)
    offset_ranges = OffsetRanges(application)
    refetch = Refetch(application, offset_ranges, failure.fail)
    new_stage = partial(
        Stage,
        group=settings.id,
        brokers=settings.broker,
        offsets=offsets,
        on_failure=failure.fail,
        on_fenced=Rejoin(application).when_fenced,
        on_gap=refetch.fetch_again,
    )

    splitter = Splitter(settings, windows, metrics)
    split = new_stage("split", settings.lines, splitter.split_lines, on_offset_loss=metrics.lost)
    checkpointer = Checkpointer(table, settings.changelog, metrics)
    counter = Counter(settings.checkpoint_interval_ms, checkpointer, metrics)
    count = new_stage(
        "count", settings.partials, counter.count_partials, on_offset_loss=refuse_offset_loss
    )
    flusher = Flusher(table, sink, metrics, settings.top_words)
    add_split(application, split)
    add_count(application, count)
    flush_requests = add_flush(application, flusher, failure.guard)

    stages = (split, count)
    tasks = TaskManager(application, settings, stages, table, offset_ranges, failure.fail)
    broker = BrokerWatch(settings.broker)
    lifecycle = Lifecycle(
        application, settings, failure, tasks, flusher.flush_counts, broker, sink, offsets.close
    )

    conf = application.conf
    membership = Membership(conf.broker_session_timeout, conf.broker_heartbeat_interval)
    view = ApplicationView(application, stages, table, broker, sink.nodes)
    queries = Queries(view, windows, membership, metrics)
    printer = Printer()
    console = Console(
        table, queries.counts, queries.status, words=settings.print, write=printer.write
    )

    idle_check = IdleCheck(stages, offset_ranges, refetch)
    application.add_timer(IDLE_CHECK_MS, lambda: failure.guard(idle_check.check))
    application.add_timer(GIVE_BACK_MS, lambda: in_thread(give_back))
    application.add_timer(settings.flush_interval_ms, flush_requests.flush_now)
    application.add_timer(settings.flush_interval_ms, console.print_top)
    if settings.resave:
        resaver = Resaver(table, sink, settings.top_words)
        application.add_timer(RESAVE_MS, lambda: failure.guard(resaver.save_owned))
    return Parts(table, tasks, lifecycle, WebServer(application, settings, queries))


def _table(application: Application, windows: Windows, budget: MemoryBudget) -> WordCounts:
    table = WordCounts(
        application,
        windows,
        source=application.settings.partials,
        memory_budget=budget,
        name="word_counts",
        partitions=application.settings.partitions,
        schema=BlockSchema(key_type=bytes, value_type=bytes),
        help="How often each word occurs in each window.",
    )
    application.tables.add(table)
    return table
