"""What every source's subcommand shares: its options, its run to the end, what it says then."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.commands.errors import WordCountCommand
from app.commands.parameters import EventTime, Size

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.settings import Settings
    from app.sources.base import Source
    from app.sources.delivery.producer import Delivery, Totals
    from app.sources.progress import Complaint

__all__ = ["buffered", "rate", "source"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """How lines are kept that can't be read again."""

    memory: int
    spill: int
    spill_dir: Path | None
    write_ahead: bool
    reads: str
    """The source and what it reads, about as it was typed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What every source can be told."""

    topic: str | None
    unpacked: bool
    event_time: int | None
    as_json: bool
    rate: float = 0
    keeping: Keeping | None = None


_READS = "reads"
"""Attribute of a function that makes a source; see `buffered`."""

_COMMON = (
    click.option("--topic", help="Topic that the lines go to [default: WORDCOUNT_LINES]."),
    click.option(
        "--unpacked", is_flag=True, help="One line a message, even when they come fast (slow)."
    ),
    click.option(
        "--event-time",
        type=EventTime(),
        help="Time of every line, in ms since 1970 or as ISO 8601 [default: when it is read].",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print the end's figures as JSON."),
)

rate = click.option(
    "--rate",
    type=click.FloatRange(min=0),
    default=0,
    show_default="as fast as Kafka takes them",
    metavar="LINES_PER_S",
    help="Most lines a second; 0: no limit.",
)


_KEPT = (
    click.option(
        "--memory",
        type=Size(),
        default="64MiB",
        show_default=True,
        metavar="SIZE",
        help="Lines that may wait for Kafka in memory; more go to disk while Kafka is away.",
    ),
    click.option(
        "--spill",
        type=Size(),
        default="1GiB",
        show_default=True,
        metavar="SIZE",
        help="Lines that may wait on disk; then no more are read. 0: none.",
    ),
    click.option(
        "--spill-dir",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Where they wait, each source's apart [default: in the user's state directory].",
    ),
    click.option(
        "--write-ahead",
        is_flag=True,
        help="Write every line to disk before Kafka gets it: once, even after kill -9.",
    ),
)


def buffered(*reads: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options of a source whose lines can't be read again; `source` takes them.

    `reads` names those of its own options that say what it reads. A run takes over the lines that
    another has left if these are the same, whatever the others are.
    """

    def with_options(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(_KEPT):
            command = option(command)
        vars(command)[_READS] = reads
        return command

    return with_options


def source(make: Callable[..., Source]) -> click.Command:
    """A subcommand out of a function that makes a source of the subcommand's own options.

    It goes by the function's name and says the function's docstring as its help.
    """

    @functools.wraps(make)
    def command(
        *, topic: str | None, unpacked: bool, event_time: int | None, as_json: bool, **own: Any
    ) -> None:
        options = Options(
            topic=topic,
            unpacked=unpacked,
            event_time=event_time,
            as_json=as_json,
            rate=own.pop("rate", 0),
            keeping=_keeping(make, own),
        )
        status = asyncio.run(_run(functools.partial(make, **own), options))
        if status:
            sys.exit(status)

    for option in reversed(_COMMON):
        command = option(command)
    return click.command(make.__name__, cls=WordCountCommand)(command)


def _keeping(make: Callable[..., Source], own: dict[str, Any]) -> Keeping | None:
    """Take the options of `buffered` out of a subcommand's own, if it has them."""
    reads = vars(make).get(_READS)
    if reads is None:
        return None
    given = {name: own.pop(name) for name in ("memory", "spill", "spill_dir", "write_ahead")}
    words = [make.__name__, *(_typed(name, own[name]) for name in reads)]
    return Keeping(**given, reads=" ".join(filter(None, words)))


def _typed(name: str, value: object) -> str:
    """An argument or a flag as it was typed."""
    if isinstance(value, bool):
        return f"--{name}" if value else ""
    return str(value)


def _kept(source: Source, settings: Settings, options: Options) -> Source:
    """The source, or one that keeps its lines until Kafka has them, if it needs that."""
    keeping = options.keeping
    if keeping is None or source.can_replay or not keeping.spill:
        return source
    from app.sources.buffer.source import BufferedSource
    from app.sources.buffer.spools import spool_for

    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    above = keeping.spill_dir or state / "wordcount-stream" / settings.id
    topic, brokers = options.topic or settings.lines, ";".join(sorted(settings.broker))
    purpose = f"{keeping.reads} to {topic} at {brokers} as {settings.id}"
    spool = spool_for(purpose, above, keeping.spill)
    return BufferedSource(source, spool, keeping.memory, write_ahead=keeping.write_ahead)


async def _run(make: Callable[[], Source], options: Options) -> int:
    """Run a source to its end and say what came of it; the exit status."""
    from app.settings import Settings
    from app.sources.progress import complaints, say
    from app.sources.run import GivenUp, stopped_by_signals

    settings = Settings.read(os.environ)
    source = _kept(make(), settings, options)
    delivery = _delivery(source, settings, options)

    def stop() -> bool:
        if delivery.connected:
            waiting = delivery.totals.waiting
            say(f"Stopping: {waiting} lines wait for Kafka; Ctrl-C again gives them up")
        return delivery.connected

    started = time.monotonic()
    given_up = False
    try:
        with complaints() as complaint, stopped_by_signals(source, stop):
            await _deliver(source, delivery, settings, options, complaint)
    except GivenUp:
        given_up = True
    finally:
        if delivery.connected or given_up:
            _summary(delivery.totals, time.monotonic() - started, as_json=options.as_json)
    totals = delivery.totals
    if totals.refused:
        say(f"Error: {totals.refused} words are longer than a message may be and were left out")
    if given_up and totals.waiting:
        say(f"Error: gave up; {totals.waiting} lines were not acknowledged")
    return 1 if totals.refused or totals.waiting or source.failures else 0


def _delivery(source: Source, settings: Settings, options: Options) -> Delivery:
    """What brings the lines to Kafka: in transactions, if the source can go on where it was."""
    from app.sources.delivery.packing import PACKED
    from app.sources.delivery.producer import Delivery
    from app.sources.delivery.transactional import TransactionalDelivery

    topic = options.topic or settings.lines
    packed_bytes = 0 if options.unpacked else PACKED
    if not source.name:
        return Delivery(settings.broker, topic, packed_bytes=packed_bytes, lingers=source.lingers)
    return TransactionalDelivery(
        settings.broker,
        topic,
        group=f"{settings.id}-produce",
        positions=settings.positions,
        packed_bytes=packed_bytes,
    )


async def _deliver(
    source: Source,
    delivery: Delivery,
    settings: Settings,
    options: Options,
    complaint: Complaint,
) -> None:
    from app.sources.delivery.positions import TOPIC_CONFIG
    from app.sources.delivery.topic import ensure_topic
    from app.sources.progress import reported
    from app.sources.run import pump

    try:
        await source.open()
        delivery.name = source.name
        delivery.limits = await ensure_topic(
            settings.broker,
            delivery.topic,
            partitions=settings.partitions,
            replication=settings.replication,
        )
        _check_event_time(options.event_time, delivery)
        if source.name:
            await ensure_topic(
                settings.broker,
                settings.positions,
                partitions=1,
                replication=settings.replication,
                config=TOPIC_CONFIG,
            )
        async with delivery, reported(source, delivery, complaint):
            if source.name:
                await source.resume(delivery.resumed)
            await pump(
                source,
                delivery,
                lines_per_second=options.rate,
                timestamp_ms=options.event_time,
            )
    finally:
        await source.close()


def _check_event_time(timestamp_ms: int | None, delivery: Delivery) -> None:
    """Raise ConfigurationError for a time that the topic refuses: it would be that of all lines."""
    from app.errors import ConfigurationError
    from app.times import iso

    if timestamp_ms is None:
        return
    if refusal := delivery.limits.times.refusal(timestamp_ms):
        raise ConfigurationError(
            f"--event-time {iso(timestamp_ms)}: topic {delivery.topic} {refusal}"
        )


def _summary(totals: Totals, seconds: float, *, as_json: bool) -> None:
    lines_per_second = totals.acknowledged / seconds
    if not as_json:
        click.echo(f"{totals.acknowledged} lines acknowledged by Kafka")
        click.echo(
            f"in {seconds:.1f} s: {lines_per_second:,.0f} lines/s, "
            f"{totals.bytes / seconds / 1e6:,.1f} MB/s, {totals.messages:,} messages",
            err=True,
        )
    else:
        figures = {
            "lines": totals.acknowledged,
            "not_delivered": totals.waiting,
            "refused_words": totals.refused,
            "redated_lines": totals.restamped,
            "messages": totals.messages,
            "bytes": totals.bytes,
            "seconds": round(seconds, 3),
            "lines_per_s": round(lines_per_second, 1),
        }
        click.echo(json.dumps(figures))
